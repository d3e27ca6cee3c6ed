// Streams between a process and its clients, over real pipes, FIFOs, terminals and programs.
#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "shim/stdio/fifo.h"
#include "shim/stdio/process_io.h"
#include "shim/stdio/uri.h"
#include "shim/testing/check.h"

using namespace davit;
using namespace davit::shim;

namespace {

std::string root;
Loop loop;

// Lets the loop work for a while, or until `done`.
void run(int64_t milliseconds, const bool* done = nullptr) {
  const int64_t until = monotonic_ms() + milliseconds;
  while (monotonic_ms() < until && (done == nullptr || !*done)) {
    bool woke = false;
    loop.after(5, [&] {
      woke = true;
      loop.quit();
    });
    (void)loop.run();
    CHECK(woke);
  }
}

std::string make_fifo(const char* name) {
  const std::string path = root + "/" + name;
  CHECK(mkfifo(path.c_str(), 0600) == 0);
  return path;
}

std::string read_now(int fd) {
  char buffer[65536];
  std::string out;
  ssize_t count = 0;
  while ((count = read(fd, buffer, sizeof buffer)) > 0)
    out.append(buffer, static_cast<size_t>(count));
  return out;
}

std::string contents(const std::string& path) {
  const Fd fd(open(path.c_str(), O_RDONLY));
  return read_now(fd.get());
}

std::unique_ptr<ProcessIo> open_io(const wire::StdioPaths& paths, std::string* error = nullptr) {
  auto io = std::make_unique<ProcessIo>(loop);
  bool called = false;
  io->open({"box", "ns", 0, 0}, paths, [&](Result<> opened) {
    called = true;
    if (!opened && error != nullptr) *error = opened.error().text();
    if (!opened && error == nullptr) std::fprintf(stderr, "%s\n", opened.error().text().c_str());
  });
  run(5000, &called);
  CHECK(called);
  return io;
}

void test_uri() {
  CHECK(parse_stdio_uri("")->scheme == Scheme::kNull);
  CHECK(parse_stdio_uri("/a b%20c")->path == "/a b%20c");
  CHECK(parse_stdio_uri("fifo:///a%20b")->path == "/a b");
  const auto binary = parse_stdio_uri("binary:///bin/log?id=x+y&flag&id=z#frag");
  CHECK(binary && binary->path == "/bin/log");
  CHECK((binary->arguments == std::vector<std::string>{"id", "x y", "flag"}));
  CHECK(parse_stdio_uri("binary-v2:///l")->scheme == Scheme::kBinaryV2);
  CHECK(!parse_stdio_uri("file://relative"));
  CHECK(!parse_stdio_uri("file:///bad%2"));
  CHECK(!parse_stdio_uri("file:///nul%00"));
  const auto unknown = parse_stdio_uri("npipe:///x");
  CHECK(!unknown && unknown.error().message.starts_with("unknown STDIO scheme npipe"));
}

void test_fifo_output() {
  const std::string path = make_fifo("out");
  const Fd client(open(path.c_str(), O_RDONLY | O_NONBLOCK));
  auto io = open_io({"", path, "", false});
  const Fd process(dup(io->ends().out));
  CHECK(io->ends().in == -1 && io->ends().err == -1);
  CHECK(io->launched({}).has_value());
  CHECK(write(process.get(), "one", 3) == 3);
  run(30);
  CHECK(read_now(client.get()) == "one");
  // The process ends: the client meets end of file without anybody asking.
  const_cast<Fd&>(process).reset();
  run(30);
  char byte = 0;
  CHECK(read(client.get(), &byte, 1) == 0);
  bool drained = false;
  io->drain([&] { drained = true; });
  CHECK(drained);
}

void test_client_comes_and_goes() {
  const std::string path = make_fifo("away");
  auto io = open_io({"", path, "", false});  // no reader yet: does not hang
  Fd process(dup(io->ends().out));
  CHECK(io->launched({}).has_value());
  {
    const Fd first(open(path.c_str(), O_RDONLY | O_NONBLOCK));
    CHECK(write(process.get(), "a", 1) == 1);
    run(30);
    CHECK(read_now(first.get()) == "a");
  }
  CHECK(write(process.get(), "b", 1) == 1);  // nobody reads; no SIGPIPE
  run(30);
  process.reset();
  run(30);
  const Fd late(open(path.c_str(), O_RDONLY | O_NONBLOCK));
  CHECK(read_now(late.get()) == "b");  // kept for who comes after the end
  io.reset();
  char byte = 0;
  CHECK(read(late.get(), &byte, 1) == 0);
}

// Whether somebody still holds a writing end: a reader without one meets end of file.
bool at_end(const Fd& reader) {
  char byte = 0;
  return read(reader.get(), &byte, 1) == 0;
}

void test_client_after_the_end() {
  const std::string path = make_fifo("late");
  auto io = open_io({"", path, "", false});
  Fd process(dup(io->ends().out));
  CHECK(io->launched({}).has_value());
  CHECK(write(process.get(), "last words", 10) == 10);
  process.reset();
  run(30);
  // Neither a writer nor one who leaves without reading takes the bytes away.
  Fd(open(path.c_str(), O_RDWR | O_NONBLOCK)).reset();
  run(30);
  const Fd client(open(path.c_str(), O_RDONLY | O_NONBLOCK));
  run(30);
  CHECK(read_now(client.get()) == "last words");
  CHECK(at_end(client));

  const std::string empty = make_fifo("late-empty");
  auto silent = open_io({"", empty, "", false});
  Fd quiet(dup(silent->ends().out));
  CHECK(silent->launched({}).has_value());
  quiet.reset();
  run(30);
  // Nothing to wait for: nobody has the FIFO open for writing.
  CHECK(open(empty.c_str(), O_WRONLY | O_NONBLOCK) < 0 && errno == ENXIO);
  const Fd late(open(empty.c_str(), O_RDONLY | O_NONBLOCK));
  CHECK(at_end(late));
}

void test_client_after_much_output() {
  const std::string path = make_fifo("late-much");
  auto io = open_io({"", path, "", false});
  Fd process(dup(io->ends().out));
  CHECK(io->launched({}).has_value());
  const std::string much(100'000, 'x');  // more than the FIFO holds
  for (size_t sent = 0; sent < much.size();) {
    const ssize_t count =
        write(process.get(), much.data() + sent, std::min<size_t>(20'000, much.size() - sent));
    CHECK(count > 0);
    sent += static_cast<size_t>(std::max<ssize_t>(count, 1));
    run(20);
  }
  process.reset();
  run(30);
  const Fd client(open(path.c_str(), O_RDONLY | O_NONBLOCK));
  std::string got;
  for (int i = 0; i < 100 && got.size() < much.size(); i++) {
    got += read_now(client.get());
    run(10);
  }
  CHECK(got == much);
  CHECK(at_end(client));
}

void test_back_pressure() {
  const std::string path = make_fifo("slow");
  const Fd client(open(path.c_str(), O_RDONLY | O_NONBLOCK));
  auto io = open_io({"", path, "", false});
  Fd process(dup(io->ends().out));
  fcntl(process.get(), F_SETFL, O_NONBLOCK);
  CHECK(io->launched({}).has_value());
  const std::string block(4096, 'x');
  size_t written = 0;
  for (int i = 0; i < 200; i++) {
    const ssize_t count = write(process.get(), block.data(), block.size());
    if (count > 0) written += static_cast<size_t>(count);
    if (i % 20 == 0) run(6);
  }
  CHECK(written >= 65536 && written <= 3 * 65536);  // two pipes full, and no more
  process.reset();
  bool drained = false;
  io->drain([&] { drained = true; });
  run(30);
  CHECK(!drained);  // a client is there and has not read
  size_t seen = 0;
  while (!drained && seen < written) {
    seen += read_now(client.get()).size();
    run(10);
  }
  seen += read_now(client.get()).size();
  CHECK(seen == written);
  run(30);
  CHECK(drained);
}

void test_drain_does_not_wait_for_nobody() {
  const std::string path = make_fifo("nobody");
  auto io = open_io({"", path, "", false});
  Fd process(dup(io->ends().out));
  fcntl(process.get(), F_SETFL, O_NONBLOCK);
  CHECK(io->launched({}).has_value());
  const std::string block(4096, 'x');
  for (int i = 0; i < 100; i++) {
    (void)!write(process.get(), block.data(), block.size());
    if (i % 20 == 0) run(6);
  }
  process.reset();
  bool drained = false;
  io->drain([&] { drained = true; });
  CHECK(drained);
}

void test_stdin() {
  const std::string path = make_fifo("in");
  auto io = open_io({path, "", "", false});
  const Fd process(dup(io->ends().in));
  fcntl(process.get(), F_SETFL, O_NONBLOCK);
  CHECK(io->launched({}).has_value());
  Fd client(open(path.c_str(), O_WRONLY | O_NONBLOCK));
  CHECK(write(client.get(), "in", 2) == 2);
  run(30);
  CHECK(read_now(process.get()) == "in");
  client.reset();  // a client that detaches does not end the input
  run(30);
  char byte = 0;
  CHECK(read(process.get(), &byte, 1) == -1);
  client.reset(open(path.c_str(), O_WRONLY | O_NONBLOCK));
  CHECK(write(client.get(), "more", 4) == 4);
  io->close_stdin();  // what is under way still arrives
  client.reset();
  run(30);
  CHECK(read_now(process.get()) == "more");
  CHECK(read(process.get(), &byte, 1) == 0);
}

void test_file() {
  const std::string path = root + "/new/dir/log";
  auto io = open_io({"", "file://" + path, "file://" + path, false});
  CHECK(io->ends().out >= 0 && io->ends().out == io->ends().err);
  CHECK(write(io->ends().out, "line\n", 5) == 5);
  io.reset();
  io = open_io({"", "file://" + path, "", false});
  CHECK(write(io->ends().out, "again\n", 6) == 6);
  CHECK(contents(path) == "line\nagain\n");
}

void test_terminal() {
  const std::string out = make_fifo("tty-out");
  const std::string in = make_fifo("tty-in");
  const Fd reader(open(out.c_str(), O_RDONLY | O_NONBLOCK));
  auto io = open_io({in, out, "", true});
  int master = -1;
  int slave = -1;
  CHECK(openpty(&master, &slave, nullptr, nullptr, nullptr) == 0);
  CHECK(io->launched(Fd(master)).has_value());
  CHECK(io->resize(80, 24).has_value());
  winsize size{};
  ioctl(slave, TIOCGWINSZ, &size);
  CHECK(size.ws_col == 80 && size.ws_row == 24);
  CHECK(write(slave, "prompt", 6) == 6);
  run(30);
  CHECK(read_now(reader.get()) == "prompt");
  const Fd writer(open(in.c_str(), O_WRONLY | O_NONBLOCK));
  CHECK(write(writer.get(), "typed\n", 6) == 6);
  run(30);
  char line[16] = {};
  CHECK(read(slave, line, sizeof line) == 6 && std::string(line) == "typed\n");
  close(slave);
  run(30);
  bool drained = false;
  io->drain([&] { drained = true; });
  CHECK(drained);
}

std::string write_script(const char* name, const char* body) {
  const std::string path = root + "/" + name;
  const Fd fd(open(path.c_str(), O_WRONLY | O_CREAT, 0700));
  CHECK(write(fd.get(), body, strlen(body)) == static_cast<ssize_t>(strlen(body)));
  return path;
}

// What the shim's SIGCHLD handling does for a logger.
void reap_into(ProcessIo& io, const bool* done) {
  for (int i = 0; i < 1000 && !*done; i++) {
    run(10, done);
    const pid_t pid = io.logger_pid();
    if (pid > 0 && waitpid(pid, nullptr, WNOHANG) == pid) io.logger_exited();
  }
}

void test_logger() {
  const std::string script = write_script("logger",
                                          "#!/bin/sh\n"
                                          "echo \"$CONTAINER_ID $CONTAINER_NAMESPACE $*\" > $2\n"
                                          "exec 5>&-\n"
                                          "cat <&3 >> $2\n");
  const std::string log = root + "/logged";
  auto io = open_io({"", "binary://" + script + "?to=" + log, "", false});
  CHECK(io->logger_pid() > 0);
  const Fd process(dup(io->ends().out));
  CHECK(io->launched({}).has_value());
  CHECK(write(process.get(), "hello\n", 6) == 6);
  const_cast<Fd&>(process).reset();
  run(100);
  CHECK(kill(io->logger_pid(), 0) == 0 && waitpid(io->logger_pid(), nullptr, WNOHANG) == 0);
  bool drained = false;
  io->drain([&] { drained = true; });
  reap_into(*io, &drained);
  CHECK(drained);
  CHECK(contents(log) == "box ns to " + log + "\nhello\n");
}

void test_logger_that_dies() {
  const std::string script = write_script("mortal", "#!/bin/sh\nprintf x >&5\nexit 0\n");
  auto io = open_io({"", "binary-v2://" + script, "", false});
  Fd process(dup(io->ends().out));
  CHECK(io->launched({}).has_value());
  const pid_t pid = io->logger_pid();
  CHECK(waitpid(pid, nullptr, 0) == pid);
  io->logger_exited();
  const std::string block(4096, 'x');
  for (int i = 0; i < 64; i++) {  // far more than a pipe holds
    CHECK(write(process.get(), block.data(), block.size()) == 4096);
    run(6);
  }
  process.reset();
  bool drained = false;
  io->drain([&] { drained = true; });
  CHECK(drained);
}

void test_logger_failures() {
  std::string error;
  (void)open_io({"", "binary:///no/such/logger", "", false}, &error);
  CHECK(error == "start logger \"/no/such/logger\": no such file or directory");
  error.clear();
  const std::string quiet = write_script("quiet", "#!/bin/sh\nexit 1\n");
  auto io = open_io({"", "binary-v2://" + quiet, "", false}, &error);
  CHECK(error == "logger ended before it was ready");
}

}  // namespace

int main() {
  signal(SIGPIPE, SIG_DFL);
  char pattern[] = "/tmp/davit-stdio-XXXXXX";
  root = mkdtemp(pattern);
  CHECK(loop.open().has_value());
  test_uri();
  test_fifo_output();
  test_client_comes_and_goes();
  test_client_after_the_end();
  test_client_after_much_output();
  test_back_pressure();
  test_drain_does_not_wait_for_nobody();
  test_stdin();
  test_file();
  test_terminal();
  test_logger();
  test_logger_that_dies();
  test_logger_failures();
  CHECK(system(("rm -r " + root).c_str()) == 0);
  return testing::result();
}
