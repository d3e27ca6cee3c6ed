#include "shim/stdio/logger.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstring>
#include <utility>

#include "shim/log.h"

namespace davit::shim {

namespace {

constexpr int64_t kReadyTime = 10'000;
constexpr int64_t kReadTime = 10'000;   // to read what is left, as long as any drain
constexpr int64_t kOwnEndTime = 1'000;  // to end by itself at end of file
constexpr int64_t kTermTime = 12'000;   // between SIGTERM and SIGKILL
constexpr int64_t kLook = 20;

// A pipe whose ends lie above the descriptors that the program gets.
Result<> make_pipe(Fd& reader, Fd& writer) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno("pipe for logger");
  reader.reset(ends[0]);
  writer.reset(ends[1]);
  for (Fd* end : {&reader, &writer}) {
    if (end->get() > 8) continue;
    end->reset(::fcntl(end->get(), F_DUPFD_CLOEXEC, 9));
    if (!*end) return fail_errno("pipe for logger");
  }
  return {};
}

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> out;
  for (auto& string : strings) out.push_back(string.data());
  out.push_back(nullptr);
  return out;
}

Result<pid_t> spawn(const LoggerSpec& spec, int out, int err, int ready) {
  std::vector<std::string> args{spec.uri.path};
  args.insert(args.end(), spec.uri.arguments.begin(), spec.uri.arguments.end());
  std::vector<std::string> env;
  for (char** entry = environ; *entry != nullptr; entry++) env.emplace_back(*entry);
  env.push_back("CONTAINER_ID=" + spec.container_id);
  env.push_back("CONTAINER_NAMESPACE=" + spec.namespace_);

  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  ::posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, out, 3);
  ::posix_spawn_file_actions_adddup2(&actions, err, 4);
  ::posix_spawn_file_actions_adddup2(&actions, ready, 5);
  ::posix_spawn_file_actions_addclosefrom_np(&actions, 6);
  posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  sigset_t none;
  sigset_t all;
  ::sigemptyset(&none);
  ::sigfillset(&all);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setsigdefault(&attributes, &all);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  pid_t pid = -1;
  const int code = ::posix_spawn(&pid, spec.uri.path.c_str(), &actions, &attributes,
                                 pointers(args).data(), pointers(env).data());
  ::posix_spawn_file_actions_destroy(&actions);
  ::posix_spawnattr_destroy(&attributes);
  if (code != 0) return fail(code, "start logger \"" + spec.uri.path + "\"");
  return pid;
}

int bytes_in(const Fd& pipe) {
  int count = 0;
  return pipe && ::ioctl(pipe.get(), FIONREAD, &count) == 0 ? count : 0;
}

}  // namespace

Logger::~Logger() {
  if (pid_ > 0) ::kill(pid_, SIGKILL);
  if (timer_ != 0) loop_->cancel(timer_);
}

Result<> Logger::start(Loop& loop, const LoggerSpec& spec, std::function<void(Result<>)> ready) {
  loop_ = &loop;
  v2_ = spec.uri.scheme == Scheme::kBinaryV2;
  Fd ready_writer;
  DAVIT_TRY(make_pipe(out_reader_, out));
  DAVIT_TRY(make_pipe(err_reader_, err));
  DAVIT_TRY(make_pipe(ready_pipe_, ready_writer));
  DAVIT_ASSIGN(pid_, spawn(spec, out_reader_.get(), err_reader_.get(), ready_writer.get()));
  ready_ = std::move(ready);
  DAVIT_TRY(ready_watch_.start(loop, ready_pipe_.get(), EPOLLIN, [this](uint32_t) {
    char byte = 0;
    const ssize_t count = ::read(ready_pipe_.get(), &byte, 1);
    if (count == 1 || (count == 0 && !v2_)) return became_ready({});
    became_ready(fail(0, "logger ended before it was ready"));
  }));
  timer_ = loop.after(kReadyTime, [this] {
    timer_ = 0;
    became_ready(fail(ETIMEDOUT, "logger did not become ready"));
  });
  return {};
}

void Logger::became_ready(Result<> result) {
  ready_watch_.stop();
  ready_pipe_.reset();
  if (timer_ != 0) loop_->cancel(std::exchange(timer_, 0));
  if (auto ready = std::exchange(ready_, nullptr)) ready(std::move(result));
}

void Logger::exited() {
  pid_ = -1;
  if (timer_ != 0) loop_->cancel(std::exchange(timer_, 0));
  if (done_) return loop_->defer(std::exchange(done_, nullptr));
  log("a logger ended before its container");
  discard();
  if (!ready_) return;
  // Last: a failure may destroy this object.
  became_ready(v2_ ? fail(0, "logger ended before it was ready") : Result<>{});
}

void Logger::discard() {
  null_.reset(::open("/dev/null", O_WRONLY | O_CLOEXEC));
  if (!null_) return;
  for (auto [pump, reader] :
       {std::pair{&discard_out_, &out_reader_}, {&discard_err_, &err_reader_}}) {
    auto started = pump->start(*loop_, reader->get(), null_.get(), Pump::Mode::kSplice, [] {});
    if (!started) log(started.error().text());
  }
}

bool Logger::unread() const {
  return bytes_in(out_reader_) > 0 || bytes_in(err_reader_) > 0;
}

void Logger::finish(std::function<void()> done) {
  out.reset();
  err.reset();
  if (pid_ <= 0) return done();
  done_ = std::move(done);
  await_empty(monotonic_ms() + kReadTime);
}

void Logger::await_empty(int64_t until) {
  if (unread() && monotonic_ms() < until) {
    timer_ = loop_->after(kLook, [this, until] { await_empty(until); });
    return;
  }
  timer_ = loop_->after(kOwnEndTime, [this] { terminate(); });
}

void Logger::terminate() {
  ::kill(pid_, SIGTERM);
  timer_ = loop_->after(kTermTime, [this] {
    timer_ = 0;
    ::kill(pid_, SIGKILL);
  });
}

}  // namespace davit::shim
