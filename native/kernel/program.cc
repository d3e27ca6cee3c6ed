#include "native/kernel/program.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "native/kernel/fd.h"

namespace davit::program {

namespace {

constexpr size_t kMaxOutput = 1 << 20;
constexpr int kOutputGraceMs = 1000;
constexpr long kCancelPollMs = 100;

struct Pipe {
  Fd read;
  Fd write;
};

Result<Pipe> make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno("pipe");
  return Pipe{Fd(ends[0]), Fd(ends[1])};
}

// What the daemon keeps of the program while it runs; its own ends are non-blocking.
struct Running {
  pid_t pid = -1;
  Fd pidfd;
  Fd in;
  Fd out;
  Fd err;
};

std::vector<char*> pointers(const std::vector<std::string>& words) {
  std::vector<char*> result;
  result.reserve(words.size() + 1);
  for (const auto& word : words) result.push_back(const_cast<char*>(word.c_str()));
  result.push_back(nullptr);
  return result;
}

// posix_spawn's objects, freed on every path.
struct Attributes {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  Attributes() {
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawnattr_init(&attributes);
  }
  ~Attributes() {
    ::posix_spawn_file_actions_destroy(&actions);
    ::posix_spawnattr_destroy(&attributes);
  }
  Attributes(const Attributes&) = delete;
  Attributes& operator=(const Attributes&) = delete;
};

int prepare(Attributes& spawn, const Program& program, const Pipe& in, const Pipe& out,
            const Pipe& err) {
  sigset_t none;
  sigset_t all;
  ::sigemptyset(&none);
  // sigfillset leaves out the two that glibc uses itself, and those would be ignored in the
  // program.
  std::memset(&all, 0xff, sizeof all);
  int error = ::posix_spawnattr_setflags(
      &spawn.attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  if (error == 0) error = ::posix_spawnattr_setsigmask(&spawn.attributes, &none);
  if (error == 0) error = ::posix_spawnattr_setsigdefault(&spawn.attributes, &all);
  const std::array<std::pair<int, int>, 3> streams{
      {{in.read.get(), 0}, {out.write.get(), 1}, {err.write.get(), 2}}};
  for (const auto& [from, to] : streams) {
    if (error == 0) error = ::posix_spawn_file_actions_adddup2(&spawn.actions, from, to);
  }
  // What others opened without CLOEXEC stays here.
  if (error == 0) error = ::posix_spawn_file_actions_addclosefrom_np(&spawn.actions, 3);
  if (error == 0 && !program.cwd.empty()) {
    error = ::posix_spawn_file_actions_addchdir_np(&spawn.actions, program.cwd.c_str());
  }
  return error;
}

Result<Running> start(const Program& program) {
  DAVIT_ASSIGN(Pipe in, make_pipe());
  DAVIT_ASSIGN(Pipe out, make_pipe());
  DAVIT_ASSIGN(Pipe err, make_pipe());
  Attributes spawn;
  Running running;
  int error = prepare(spawn, program, in, out, err);
  const auto argv = pointers(program.argv);
  const auto env = pointers(program.env);
  if (error == 0) {
    // glibc shares the memory with the child until it has called exec.
    error = ::posix_spawnp(&running.pid, program.file.c_str(), &spawn.actions, &spawn.attributes,
                           argv.data(), env.data());
  }
  if (error != 0) return fail(error, "run \"" + program.file + "\"");
  running.pidfd = Fd(static_cast<int>(::syscall(SYS_pidfd_open, running.pid, 0)));
  running.in = std::move(in.write);
  running.out = std::move(out.read);
  running.err = std::move(err.read);
  for (const Fd* fd : {&running.in, &running.out, &running.err}) {
    ::fcntl(fd->get(), F_SETFL, O_NONBLOCK);
  }
  return running;
}

long now_ms() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1'000'000;
}

void write_some(Fd& fd, const std::string& input, size_t& written) {
  while (written < input.size()) {
    const ssize_t size = ::write(fd.get(), input.data() + written, input.size() - written);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && errno == EAGAIN) return;
    if (size < 0) break;  // a program need not read its input
    written += static_cast<size_t>(size);
  }
  fd.reset();
}

void read_some(Fd& fd, std::string& kept) {
  char buffer[16 * 1024];
  for (;;) {
    const ssize_t size = ::read(fd.get(), buffer, sizeof buffer);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && errno == EAGAIN) return;
    if (size <= 0) break;
    kept.append(buffer, std::min(static_cast<size_t>(size), kMaxOutput - kept.size()));
  }
  fd.reset();
}

void set_status(Outcome& outcome, int status) {
  if (WIFSIGNALED(status)) {
    outcome.signal = WTERMSIG(status);
  } else {
    outcome.code = WEXITSTATUS(status);
  }
}

}  // namespace

Result<Outcome> run(const Program& program, const std::function<bool()>& cancelled) {
  // A write to a program that is gone is an errno here, not a signal.
  sigset_t pipe_signal;
  ::sigemptyset(&pipe_signal);
  ::sigaddset(&pipe_signal, SIGPIPE);
  ::pthread_sigmask(SIG_BLOCK, &pipe_signal, nullptr);

  DAVIT_ASSIGN(Running running, start(program));
  Outcome outcome;
  size_t written = 0;
  bool ended = false;
  long deadline = now_ms() + program.timeout_ms;
  bool stopped = false;
  while (!ended || running.out || running.err) {
    if (!stopped && cancelled && cancelled()) {
      stopped = true;
      deadline = now_ms();
    }
    const long left = deadline - now_ms();
    // Killed and still there: it hangs in the kernel, and nobody can wait for that.
    if (left <= 0 && (ended || outcome.timed_out)) break;
    if (left <= 0) {
      outcome.timed_out = true;
      ::kill(-running.pid, SIGKILL);
      deadline = now_ms() + kOutputGraceMs;
      continue;
    }
    // Descriptors that are closed are -1, which poll leaves out.
    pollfd polled[] = {{running.in.get(), POLLOUT, 0},
                       {running.out.get(), POLLIN, 0},
                       {running.err.get(), POLLIN, 0},
                       {ended ? -1 : running.pidfd.get(), POLLIN, 0}};
    const int ready =
        ::poll(polled, 4, static_cast<int>(cancelled ? std::min(left, kCancelPollMs) : left));
    if (ready <= 0) continue;
    if (polled[0].revents != 0) write_some(running.in, program.input, written);
    if (polled[1].revents != 0) read_some(running.out, outcome.out);
    if (polled[2].revents != 0) read_some(running.err, outcome.err);
    int status = 0;
    if (!ended && polled[3].revents != 0 && ::waitpid(running.pid, &status, 0) == running.pid) {
      ended = true;
      set_status(outcome, status);
      deadline = std::min(deadline, now_ms() + kOutputGraceMs);
    }
  }
  if (stopped) return fail(ECANCELED, "run \"" + program.file + "\"");
  if (!ended) outcome.signal = SIGKILL;
  return outcome;
}

}  // namespace davit::program
