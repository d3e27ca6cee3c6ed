#include "native/oci/hooks.h"

#include <fcntl.h>
#include <poll.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>

#include "native/kernel/process.h"

namespace davit::oci {
namespace {

constexpr std::size_t kKeptOutput = 512;

long now_ms() {
  timespec now;
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1'000'000;
}

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> out;
  out.reserve(texts.size() + 1);
  for (const std::string& text : texts) out.push_back(const_cast<char*>(text.c_str()));
  out.push_back(nullptr);
  return out;
}

[[noreturn]] void exec_hook(const Hook& hook, int in, int err) {
  int null = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
  ::dup2(in, 0);
  ::dup2(null, 1);
  ::dup2(err, 2);
  (void)kernel::close_on_exec_from(3);
  std::vector<std::string> args = hook.args.empty() ? std::vector{hook.path} : hook.args;
  ::execve(hook.path.c_str(), pointers(args).data(), pointers(hook.env).data());
  ::dprintf(2, "%s", std::strerror(errno));
  ::_exit(127);
}

Result<std::pair<Fd, Fd>> make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno("pipe");
  return std::pair(Fd(ends[0]), Fd(ends[1]));
}

// Feeds the state in and keeps the end of what comes out, until the hook has ended.
Result<int> attend(const kernel::Child& child, Fd in, int err, const std::string& state,
                   std::optional<std::int64_t> timeout, std::string& output) {
  ::fcntl(in.get(), F_SETFL, O_NONBLOCK);
  std::size_t sent = 0;
  long end = timeout ? now_ms() + *timeout * 1000 : 0;
  for (bool exited = false; !exited;) {
    pollfd items[3] = {{child.pidfd.get(), POLLIN, 0}, {err, POLLIN, 0}, {in.get(), POLLOUT, 0}};
    int wait = timeout ? static_cast<int>(std::clamp(end - now_ms(), 0L, 1'000'000L)) : -1;
    int ready = ::poll(items, in ? 3 : 2, wait);
    if (ready < 0 && errno != EINTR) return fail_errno("poll");
    if (ready == 0 && now_ms() >= end) {
      (void)kernel::signal_pidfd(child.pidfd.get(), SIGKILL);
      (void)kernel::reap(child.pid);
      return fail(ETIMEDOUT, "ran longer than " + std::to_string(*timeout) + " s and was killed");
    }
    exited = items[0].revents != 0;
    if (items[1].revents != 0) {
      char buffer[512];
      ssize_t n = ::read(err, buffer, sizeof buffer);
      if (n > 0) output.append(buffer, static_cast<std::size_t>(n));
      if (output.size() > kKeptOutput) output.erase(0, output.size() - kKeptOutput);
    }
    if (in && items[2].revents != 0) {
      ssize_t n = ::write(in.get(), state.data() + sent, state.size() - sent);
      if (n > 0) sent += static_cast<std::size_t>(n);
      if (sent == state.size() || (n < 0 && errno != EAGAIN && errno != EINTR)) in.reset();
    }
  }
  return kernel::reap(child.pid);
}

Result<> run_hook(const Hook& hook, const std::string& state) {
  DAVIT_ASSIGN(auto in, make_pipe());
  DAVIT_ASSIGN(auto err, make_pipe());
  DAVIT_ASSIGN(kernel::Child child, kernel::clone_process(0));
  if (child.pid == 0) exec_hook(hook, in.first.get(), err.second.get());
  in.first.reset();
  err.second.reset();
  std::string output;
  // A hook that ends without reading must not end us.
  sigset_t pipe_signal, old;
  ::sigemptyset(&pipe_signal);
  ::sigaddset(&pipe_signal, SIGPIPE);
  ::sigprocmask(SIG_BLOCK, &pipe_signal, &old);
  auto status = attend(child, std::move(in.second), err.first.get(), state, hook.timeout, output);
  timespec none{};
  while (::sigtimedwait(&pipe_signal, nullptr, &none) > 0) {
  }
  ::sigprocmask(SIG_SETMASK, &old, nullptr);
  if (!status) return std::unexpected(status.error());
  if (*status == 0) return {};
  while (!output.empty() && output.back() == '\n') output.pop_back();
  std::string how = WIFSIGNALED(*status) ? "signal " + std::to_string(WTERMSIG(*status))
                                         : "exit status " + std::to_string(WEXITSTATUS(*status));
  return fail(0, how + (output.empty() ? "" : ", stderr: " + output));
}

}  // namespace

std::string state_json(const Spec& spec, const std::string& id, const char* status, pid_t pid,
                       const std::string& bundle) {
  rapidjson::StringBuffer buffer;
  rapidjson::Writer<rapidjson::StringBuffer> writer(buffer);
  writer.StartObject();
  auto text = [&](const char* key, const std::string& value) {
    writer.Key(key);
    writer.String(value);
  };
  text("ociVersion", spec.oci_version);
  text("id", id);
  text("status", status);
  if (pid > 0) {
    writer.Key("pid");
    writer.Int(pid);
  }
  text("bundle", bundle);
  writer.Key("annotations");
  writer.StartObject();
  for (const auto& [key, value] : spec.annotations) text(key.c_str(), value);
  writer.EndObject();
  writer.EndObject();
  return buffer.GetString();
}

Result<> run_hooks(const std::vector<Hook>& hooks, const char* kind, const std::string& state) {
  for (std::size_t i = 0; i < hooks.size(); i++) {
    auto done = run_hook(hooks[i], state);
    if (!done)
      return wrap(std::string(kind) + " hook #" + std::to_string(i) + " \"" + hooks[i].path + '"',
                  done.error());
  }
  return {};
}

}  // namespace davit::oci
