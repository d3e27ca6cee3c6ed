#include "shim/stdio/process_io.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include <utility>

#include "shim/log.h"
#include "shim/stdio/fifo.h"
#include "shim/stdio/uri.h"

namespace davit::shim {

namespace {

constexpr int64_t kDrainTime = 10'000;

bool is_binary(const StdioUri& uri) {
  return uri.scheme == Scheme::kBinary || uri.scheme == Scheme::kBinaryV2;
}

Result<> make_pipe(const IoContext& context, Fd& reader, Fd& writer) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno("pipe for stdio");
  reader.reset(ends[0]);
  writer.reset(ends[1]);
  const bool owned = context.uid != 0 || context.gid != 0;
  if (owned && ::fchown(reader.get(), context.uid, context.gid) != 0) {
    return fail_errno("change owner of stdio pipe");
  }
  return {};
}

Result<> make_parents(const std::string& path) {
  for (size_t slash = path.find('/', 1); slash != std::string::npos;
       slash = path.find('/', slash + 1)) {
    const std::string parent = path.substr(0, slash);
    if (::mkdir(parent.c_str(), 0755) != 0 && errno != EEXIST) {
      return fail_errno("create directory \"" + parent + "\"");
    }
  }
  return {};
}

Result<Fd> open_log_file(const std::string& path) {
  constexpr int kFlags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY;
  Fd file(::open(path.c_str(), kFlags, 0640));
  if (!file && errno == ENOENT) {
    DAVIT_TRY(make_parents(path));
    file.reset(::open(path.c_str(), kFlags, 0640));
  }
  if (!file) return fail_errno("open log file \"" + path + "\"");
  return file;
}

Result<> make_nonblocking(const Fd& fd) {
  const int flags = ::fcntl(fd.get(), F_GETFL);
  if (flags < 0 || ::fcntl(fd.get(), F_SETFL, flags | O_NONBLOCK) != 0) {
    return fail_errno("make descriptor non-blocking");
  }
  return {};
}

}  // namespace

ProcessIo::~ProcessIo() {
  if (timer_ != 0) loop_.cancel(timer_);
}

void ProcessIo::open(const IoContext& context, const wire::StdioPaths& paths,
                     std::function<void(Result<>)> ready) {
  terminal_ = paths.terminal;
  auto opened = open_streams(context, paths, ready);
  if (!opened || !logger_) ready(std::move(opened));
}

// On success with a logger, the logger calls `ready`.
Result<> ProcessIo::open_streams(const IoContext& context, const wire::StdioPaths& paths,
                                 const std::function<void(Result<>)>& ready) {
  DAVIT_ASSIGN(const StdioUri in, parse_stdio_uri(paths.in));
  DAVIT_ASSIGN(const StdioUri out, parse_stdio_uri(paths.out));
  DAVIT_ASSIGN(StdioUri err, parse_stdio_uri(terminal_ ? "" : paths.err));
  if (in.scheme != Scheme::kNull && in.scheme != Scheme::kFifo && in.scheme != Scheme::kFile) {
    return fail(EINVAL, "stdin \"" + paths.in + "\": must be a FIFO or a file");
  }
  DAVIT_TRY(open_input(context, in.path));
  DAVIT_TRY(open_output(context, out, out_));
  if (err.scheme == Scheme::kFile && out.scheme == Scheme::kFile && err.path == out.path) {
    shared_file_ = true;
  } else {
    DAVIT_TRY(open_output(context, err, err_));
  }
  if (!is_binary(out) && !is_binary(err)) return {};

  logger_ = std::make_unique<Logger>();
  const LoggerSpec spec{is_binary(out) ? out : err, context.container_id, context.namespace_};
  DAVIT_TRY(logger_->start(loop_, spec, ready));
  if (is_binary(out)) (terminal_ ? out_.sink : out_.container) = std::move(logger_->out);
  if (terminal_) return make_nonblocking(out_.sink);
  if (is_binary(err) || err.scheme == Scheme::kNull) err_.container = std::move(logger_->err);
  return {};
}

Result<> ProcessIo::open_input(const IoContext& context, const std::string& path) {
  if (path.empty()) return {};
  DAVIT_ASSIGN(fifo::Opened opened, fifo::open_input(path));
  if (opened.is_fifo) {
    in_fifo_ = std::move(opened.fd);
    if (!terminal_) return make_pipe(context, in_container_, in_writer_);
  } else if (!terminal_) {
    in_container_ = std::move(opened.fd);
  }
  return {};
}

Result<> ProcessIo::open_output(const IoContext& context, const StdioUri& uri, Output& output) {
  if (uri.scheme == Scheme::kFile) {
    DAVIT_ASSIGN((terminal_ ? output.sink : output.container), open_log_file(uri.path));
  }
  if (uri.scheme != Scheme::kFifo) return {};
  DAVIT_ASSIGN(fifo::Opened opened, fifo::open_output(uri.path));
  output.is_fifo = opened.is_fifo;
  if (opened.is_fifo && !terminal_) {
    DAVIT_TRY(make_pipe(context, output.reader, output.container));
  }
  (opened.is_fifo || terminal_ ? output.sink : output.container) = std::move(opened.fd);
  return {};
}

oci::Stdio ProcessIo::ends() const {
  return {in_container_.get(), out_.container.get(),
          shared_file_ ? out_.container.get() : err_.container.get()};
}

Result<> ProcessIo::launched(Fd console) {
  in_container_.reset();
  if (!logger_) {
    out_.container.reset();
    err_.container.reset();
  }
  console_ = std::move(console);
  if (terminal_ && console_) {
    DAVIT_TRY(make_nonblocking(console_));
    DAVIT_TRY(start_pump(out_, console_.get()));
  } else {
    if (out_.reader) DAVIT_TRY(start_pump(out_, out_.reader.get()));
    if (err_.reader) DAVIT_TRY(start_pump(err_, err_.reader.get()));
  }
  if (!in_fifo_) return {};
  return in_pump_.start(loop_, in_fifo_.get(), terminal_ ? console_.get() : in_writer_.get(),
                        terminal_ ? Pump::Mode::kCopy : Pump::Mode::kSplice,
                        [this] { end_input(); });
}

Result<> ProcessIo::start_pump(Output& output, int from) {
  if (!output.sink) {
    // A terminal that nobody reads must not fill up.
    output.sink.reset(::open("/dev/null", O_WRONLY | O_CLOEXEC));
    if (!output.sink) return fail_errno("open \"/dev/null\"");
  }
  return output.pump.start(loop_, from, output.sink.get(),
                           terminal_ ? Pump::Mode::kCopy : Pump::Mode::kSplice,
                           [this, &output] { output_ended(output); });
}

void ProcessIo::output_ended(Output& output) {
  output.reader.reset();
  if (output.is_fifo) {
    output.leftover.keep(loop_, std::move(output.sink));
  } else if (!logger_) {
    output.sink.reset();
  }
  if (done_ && !out_.pump.running() && !err_.pump.running()) drained();
}

void ProcessIo::end_input() {
  in_pump_.stop();
  in_writer_.reset();
  in_fifo_.reset();
}

void ProcessIo::close_stdin() {
  if (!in_fifo_ || std::exchange(stdin_closed_, true)) return;
  auto reader = fifo::reading_end(in_fifo_);
  if (reader && in_pump_.running()) {
    if (auto replaced = in_pump_.replace_source(reader->get()); !replaced) return end_input();
  }
  if (!reader) return end_input();
  in_fifo_ = std::move(*reader);
}

Result<> ProcessIo::resize(uint32_t width, uint32_t height) {
  if (!console_) return {};
  winsize size{};
  size.ws_col = static_cast<unsigned short>(width);
  size.ws_row = static_cast<unsigned short>(height);
  if (::ioctl(console_.get(), TIOCSWINSZ, &size) != 0) return fail_errno("resize terminal");
  return {};
}

void ProcessIo::exited() {
  end_input();
}

void ProcessIo::drain(std::function<void()> done) {
  done_ = std::move(done);
  for (Output* output : {&out_, &err_}) {
    if (!output->pump.running() || !output->is_fifo) continue;
    // From here on the output breaks when its client leaves, so that nobody waits for nobody. The
    // client shows once the shim's own reading end is gone.
    auto writer = fifo::writing_end(output->sink);
    const bool replaced = writer && output->pump.replace_target(writer->get());
    if (replaced) output->sink = std::move(*writer);
    if (!replaced || fifo::abandoned(output->sink)) output->pump.stop();
  }
  if (!out_.pump.running() && !err_.pump.running()) return drained();
  timer_ = loop_.after(kDrainTime, [this] {
    timer_ = 0;
    log("output of a process was still open 10 s after its end");
    out_.pump.stop();
    err_.pump.stop();
    drained();
  });
}

void ProcessIo::drained() {
  if (timer_ != 0) loop_.cancel(std::exchange(timer_, 0));
  auto done = std::exchange(done_, nullptr);
  for (Output* output : {&out_, &err_}) {
    output->sink.reset();
    output->leftover.drop();
    output->container.reset();
  }
  if (!logger_) return done();
  logger_->finish(std::move(done));
}

}  // namespace davit::shim
