#include "shim/task/oci_runtime.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "native/kernel/file.h"
#include "native/kernel/message.h"
#include "native/kernel/process.h"
#include "native/kernel/wait.h"
#include "native/oci/cgroup/hierarchy.h"
#include "native/oci/init.h"
#include "native/oci/json.h"
#include "native/oci/state_file.h"

namespace davit::shim {

namespace {

constexpr char kRecord[] = "/oci-runtime";
constexpr int kPatience = 300'000;  // as long as a hook may take
constexpr int kLastPatience = 10'000;

[[noreturn]] void become(const std::vector<std::string>& words, const oci::Stdio& stdio) {
  std::vector<char*> argv;
  for (const auto& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  if (oci::use_stdio(stdio) && kernel::close_on_exec_from(3)) ::execvp(argv[0], argv.data());
  ::_exit(127);
}

// The last error in a runtime's log: one JSON object per line.
std::string last_error(const std::string& log) {
  std::string message;
  for (size_t at = 0; at < log.size();) {
    const size_t end = std::min(log.find('\n', at), log.size());
    const auto line = oci::json::parse(std::string_view(log).substr(at, end - at));
    at = end + 1;
    if (!line || !line->IsObject()) continue;
    const auto* level = oci::json::find(*line, "level");
    const auto* text = oci::json::find(*line, "msg");
    const bool is_error = level != nullptr && level->IsString() && text != nullptr &&
                          text->IsString() && std::string_view(level->GetString()) == "error";
    if (is_error) message = text->GetString();
  }
  return message;
}

// The process's own cgroups, as state.json has them; those that it shares with the shim are not
// its.
Result<std::vector<std::string>> cgroups_of(pid_t pid) {
  constexpr char kRoot[] = "/sys/fs/cgroup";
  DAVIT_ASSIGN(const auto own, oci::find_hierarchies());
  const std::string file = "/proc/" + std::to_string(pid) + "/cgroup";
  DAVIT_ASSIGN(const std::string text, kernel::read_file(AT_FDCWD, file.c_str()));
  DAVIT_ASSIGN(const auto theirs, oci::find_hierarchies(kRoot, text));
  std::vector<std::string> paths;
  for (const auto& one : theirs.all) {
    bool shared = one.own_path.empty() || one.own_path == "/";
    for (const auto& ours : own.all) {
      shared |= ours.controllers == one.controllers && ours.own_path == one.own_path;
    }
    if (!shared) paths.push_back(one.controllers + '=' + one.mount + one.own_path);
  }
  return paths;
}

// A socket that a runtime sends a terminal's master to. It lies in the bundle, whose path may be
// longer than a socket's may be: both sides reach it through the shim's descriptor.
struct ConsoleSocket {
  Fd directory;
  Fd listener;
  std::string path;

  Result<> open(const std::string& bundle, const std::string& name) {
    DAVIT_ASSIGN(directory, kernel::open_at(AT_FDCWD, bundle.c_str(), O_PATH | O_DIRECTORY));
    path = "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(directory.get()) + '/' +
           name;
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::snprintf(address.sun_path, sizeof address.sun_path, "%s", path.c_str());
    listener.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const auto* at = reinterpret_cast<const sockaddr*>(&address);
    if (!listener || ::bind(listener.get(), at, sizeof address) != 0 ||
        ::listen(listener.get(), 1) != 0) {
      return fail_errno("console socket");
    }
    return {};
  }
  ~ConsoleSocket() {
    if (!path.empty()) ::unlink(path.c_str());
  }
  // After the runtime has ended: it has connected by then.
  Result<Fd> receive() const {
    const Fd from(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!from) return fail_errno("the runtime has sent no terminal");
    DAVIT_ASSIGN(kernel::Message message, kernel::receive_message(from.get(), 1000));
    if (message.descriptors.empty()) return fail(0, "the runtime has sent no terminal");
    return std::move(message.descriptors.front());
  }
};

}  // namespace

OciRuntime::OciRuntime(RuntimeChoice choice, std::string id, std::string bundle)
    : choice_(std::move(choice)), id_(std::move(id)), bundle_(std::move(bundle)) {
  if (choice_.root.empty()) choice_.root = bundle_ + "/oci";
}

std::optional<OciRuntime> OciRuntime::of(const std::string& bundle, const std::string& id) {
  const auto text = kernel::read_file(AT_FDCWD, (bundle + kRecord).c_str());
  if (!text) return std::nullopt;
  const size_t first = text->find('\n');
  const size_t second = first == text->npos ? first : text->find('\n', first + 1);
  if (second == text->npos) return std::nullopt;
  return OciRuntime({text->substr(0, first), text->substr(first + 1, second - first - 1),
                     text->ends_with("systemd\n")},
                    id, bundle);
}

std::string OciRuntime::scratch(const char* ending) {
  return bundle_ + "/oci-" + std::to_string(runs_) + ending;
}

Result<> OciRuntime::run(Words words, const oci::Stdio& stdio) {
  runs_++;
  const std::string log = scratch(".log");
  Words all{choice_.binary, "--root", choice_.root, "--log", log, "--log-format", "json"};
  if (choice_.systemd_cgroup) all.emplace_back("--systemd-cgroup");
  all.insert(all.end(), words.begin(), words.end());
  DAVIT_ASSIGN(kernel::Child child, kernel::clone_process(0));
  if (child.pid == 0) become(all, stdio);
  pollfd ended{child.pidfd.get(), POLLIN, 0};
  int got = kernel::wait_for(&ended, 1, kPatience);
  const int why = got < 0 ? errno : ETIMEDOUT;
  // A deletion is not given up with the rest.
  if (got < 0 && words[0] == "delete") got = ::poll(&ended, 1, kLastPatience);
  if (got <= 0) (void)kernel::signal_pidfd(child.pidfd.get(), SIGKILL);
  const auto status = kernel::reap(child.pid);
  const std::string said =
      last_error(kernel::read_file(AT_FDCWD, log.c_str()).value_or(std::string()));
  ::unlink(log.c_str());
  if (got <= 0) return fail(why, choice_.binary + ' ' + words[0]);
  if (status && WIFEXITED(*status) && WEXITSTATUS(*status) == 0) return {};
  if (!said.empty()) return fail(0, said);
  const bool missing = status && WIFEXITED(*status) && WEXITSTATUS(*status) == 127;
  return fail(
      0, "OCI runtime \"" + choice_.binary +
             (missing ? "\": executable file not found in $PATH" : "\": " + words[0] + " failed"));
}

// Runs a command that leaves a process behind, whose pid it returns.
Result<pid_t> OciRuntime::launch(Words words, const std::string& id, const oci::Stdio& stdio,
                                 bool terminal, Fd& console) {
  const std::string pid_file = scratch(".pid");
  words.insert(words.end(), {"--pid-file", pid_file});
  ConsoleSocket socket;
  if (terminal) {
    DAVIT_TRY(socket.open(bundle_, "oci-" + std::to_string(runs_) + ".sock"));
    words.insert(words.end(), {"--console-socket", socket.path});
  }
  words.push_back(id);
  DAVIT_TRY(run(words, terminal ? oci::Stdio{} : stdio));
  const auto text = kernel::read_file(AT_FDCWD, pid_file.c_str());
  ::unlink(pid_file.c_str());
  const pid_t pid = text ? std::atoi(text->c_str()) : 0;
  if (pid <= 0) return fail(0, "OCI runtime \"" + choice_.binary + "\": has told no pid");
  if (terminal) {
    DAVIT_ASSIGN(console, socket.receive());
  }
  return pid;
}

Result<std::unique_ptr<oci::Container>> OciRuntime::create(const oci::CreateOptions& options,
                                                           bool terminal, Fd& console) {
  DAVIT_ASSIGN(const Fd directory,
               kernel::open_at(AT_FDCWD, bundle_.c_str(), O_PATH | O_DIRECTORY));
  const std::string record =
      choice_.binary + '\n' + choice_.root + '\n' + (choice_.systemd_cgroup ? "systemd\n" : "");
  DAVIT_TRY(kernel::replace_file(directory.get(), kRecord + 1, record, 0600));
  Words words{"create", "--bundle", bundle_};
  if (options.no_pivot) words.emplace_back("--no-pivot");
  if (options.no_new_keyring) words.emplace_back("--no-new-keyring");
  auto made = [&]() -> Result<std::unique_ptr<oci::Container>> {
    oci::StateFile state{id_, bundle_, -1, 0, {}, options.no_new_keyring};
    DAVIT_ASSIGN(state.pid, launch(words, id_, options.stdio, terminal, console));
    DAVIT_ASSIGN(state.start_time, kernel::start_time(state.pid));
    DAVIT_ASSIGN(state.cgroups, cgroups_of(state.pid));
    DAVIT_TRY(oci::write_state(bundle_, state));
    return oci::Container::load(bundle_);
  }();
  if (!made) {
    // Its own error is the one to report. A runtime that cannot be run has left nothing.
    (void)remove();
    ::unlink((bundle_ + kRecord).c_str());
  }
  return made;
}

Result<> OciRuntime::start() {
  return run({"start", id_}, {});
}

Result<oci::Process> OciRuntime::exec(std::string_view process, const oci::Stdio& stdio,
                                      bool terminal) {
  runs_++;
  const std::string name = "oci-" + std::to_string(runs_) + ".json";
  DAVIT_ASSIGN(const Fd directory,
               kernel::open_at(AT_FDCWD, bundle_.c_str(), O_PATH | O_DIRECTORY));
  DAVIT_TRY(kernel::replace_file(directory.get(), name.c_str(), process, 0600));
  oci::Process started;
  const auto pid = launch({"exec", "--detach", "--process", bundle_ + '/' + name}, id_, stdio,
                          terminal, started.console);
  ::unlinkat(directory.get(), name.c_str(), 0);
  if (!pid) return std::unexpected(pid.error());
  started.pid = *pid;
  DAVIT_ASSIGN(started.pidfd, kernel::open_pidfd(*pid));
  return started;
}

Result<> OciRuntime::remove() {
  auto removed = run({"delete", "--force", id_}, {});
  if (removed) ::unlink((bundle_ + kRecord).c_str());
  auto forgotten = oci::remove_state(bundle_);
  ::rmdir(choice_.root.c_str());
  return removed ? forgotten : removed;
}

}  // namespace davit::shim
