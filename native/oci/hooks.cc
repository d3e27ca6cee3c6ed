#include "native/oci/hooks.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>

#include "native/kernel/process.h"
#include "native/kernel/wait.h"
#include "native/oci/json.h"
#include "native/oci/json_text.h"

namespace davit::oci {
namespace {

constexpr std::int64_t kDefaultTimeout = 300;  // seconds
constexpr std::size_t kMostErrorText = 1024;

struct Pipe {
  Fd read, write;
};

Result<Pipe> make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno("pipe");
  return Pipe{Fd(ends[0]), Fd(ends[1])};
}

std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> out;
  for (const std::string& string : strings) out.push_back(const_cast<char*>(string.c_str()));
  out.push_back(nullptr);
  return out;
}

[[noreturn]] void become(const Hook& hook, int in, int err) {
  // No terminal's, and the first of a group that can be ended as one.
  (void)::setsid();
  int null = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
  if (::dup2(in, 0) < 0 || ::dup2(null >= 0 ? null : err, 1) < 0 || ::dup2(err, 2) < 0)
    ::_exit(126);
  (void)kernel::close_on_exec_from(3);
  std::vector<std::string> path_only{hook.path};
  std::vector<char*> args = pointers(hook.args.empty() ? path_only : hook.args);
  std::vector<char*> env = pointers(hook.env);
  ::execve(hook.path.c_str(), args.data(), env.data());
  std::string text = std::string("exec: ") + ::strerror(errno);
  (void)!::write(2, text.data(), text.size());
  ::_exit(127);
}

long now_ms() {
  struct timespec now;
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1'000'000;
}

// Feeds the state and collects error output until the hook has ended. False: out of time.
bool attend(int pidfd, Fd& in, int err, std::string_view state, std::string& said, long end_ms) {
  bool hears = true;
  for (;;) {
    struct pollfd items[3] = {
        {pidfd, POLLIN, 0}, {hears ? err : -1, POLLIN, 0}, {in ? in.get() : -1, POLLOUT, 0}};
    int n = kernel::wait_for(items, 3, static_cast<int>(std::max(0L, end_ms - now_ms())));
    if (n < 0 && errno != EINTR) return false;
    if (n == 0) return false;
    if (n < 0) continue;
    if (items[2].revents != 0) {
      ssize_t sent = ::write(in.get(), state.data(), state.size());
      if (sent > 0) state.remove_prefix(static_cast<std::size_t>(sent));
      if ((sent < 0 && errno != EINTR && errno != EAGAIN) || state.empty()) in.reset();
    }
    if (items[1].revents != 0) {
      char buffer[512];
      ssize_t got = ::read(err, buffer, sizeof buffer);
      if (got > 0)
        said.append(buffer, std::min(static_cast<std::size_t>(got), kMostErrorText - said.size()));
      hears = got > 0 || (got < 0 && (errno == EINTR || errno == EAGAIN));
      continue;
    }
    if (items[0].revents != 0) return true;
  }
}

// With all that it has started, but what has left its group. It is not reaped yet: its number is no
// other group's.
void end_by_force(const kernel::Child& child) {
  (void)::kill(-child.pid, SIGKILL);
  (void)kernel::signal_pidfd(child.pidfd.get(), SIGKILL);  // also before it has made its group
}

Result<> run_hook(const Hook& hook, const std::string& state) {
  DAVIT_ASSIGN(Pipe in, make_pipe());
  DAVIT_ASSIGN(Pipe err, make_pipe());
  ::fcntl(in.write.get(), F_SETFL, O_NONBLOCK);
  // A hook that does not read must not end us.
  struct sigaction ignore = {}, before;
  ignore.sa_handler = SIG_IGN;
  ::sigaction(SIGPIPE, &ignore, &before);
  auto child = kernel::clone_process(0);
  if (child && child->pid == 0) become(hook, in.read.get(), err.write.get());
  Result<> result;
  if (child) {
    in.read.reset();
    err.write.reset();
    std::string said;
    long end = now_ms() + hook.timeout.value_or(kDefaultTimeout) * 1000;
    bool ended = attend(child->pidfd.get(), in.write, err.read.get(), state, said, end);
    if (!ended) end_by_force(*child);
    auto status = kernel::reap(child->pid);
    while (!said.empty() && said.back() == '\n') said.pop_back();
    if (!ended)
      result = fail(ETIMEDOUT, "ended by force");
    else if (!status)
      result = std::unexpected(std::move(status).error());
    else if (WIFSIGNALED(*status))
      result = fail(0, "ended by signal " + std::to_string(WTERMSIG(*status)) + ": " + said);
    else if (WEXITSTATUS(*status) != 0)
      result = fail(0, "exit status " + std::to_string(WEXITSTATUS(*status)) + ": " + said);
  } else {
    result = std::unexpected(std::move(child).error());
  }
  ::sigaction(SIGPIPE, &before, nullptr);
  return result;
}

}  // namespace

Result<> run_hooks(const std::vector<Hook>& hooks, const char* kind, const std::string& state) {
  for (const Hook& hook : hooks)
    if (auto done = run_hook(hook, state); !done)
      return wrap(std::string(kind) + " hook \"" + hook.path + '"', std::move(done).error());
  return {};
}

void run_poststop(const std::vector<Hook>& hooks, const std::string& state,
                  std::vector<std::string>& warnings) {
  for (const Hook& hook : hooks)
    if (auto done = run_hooks({hook}, "poststop", state); !done)
      warnings.push_back(done.error().text());
}

std::string HookState::json(const char* status, pid_t pid) const {
  std::string out = "{\"ociVersion\":" + json::quote(oci_version) + ",\"id\":" + json::quote(id) +
                    ",\"status\":" + json::quote(status);
  if (pid > 0) out += ",\"pid\":" + std::to_string(pid);
  out += ",\"bundle\":" + json::quote(bundle);
  if (!annotations.empty()) out += ",\"annotations\":" + annotations;
  return out + '}';
}

}  // namespace davit::oci
