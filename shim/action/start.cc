// The start action. It is in the way of every container's start: no more system calls than needed.
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "native/kernel/pb.h"
#include "shim/action/actions.h"
#include "shim/action/input.h"
#include "shim/action/shim_cgroup.h"
#include "shim/action/socket.h"
#include "shim/fault.h"
#include "shim/wire/messages.h"

namespace davit::shim {

namespace {

constexpr char kDefaultSocketDir[] = "/run/containerd/s";

enum class Answer { kAddress, kJson, kProtobuf };

struct Start {
  Answer answer = Answer::kAddress;
  std::string socket_dir = kDefaultSocketDir;
  std::string ttrpc_address;  // from the parameters; "" = as the environment says
  std::string shim_cgroup;
};

Result<> apply_options(const wire::Any& options, Start& start) {
  if (options.type_url != "containerd.runc.v1.Options") return {};
  wire::RuncOptions runc;
  if (!wire::decode(options.value, runc)) return fail(0, "runtime options: malformed");
  start.shim_cgroup = runc.shim_cgroup;
  return {};
}

// The daemon's version shows in what it writes: containerd 2.3 sends BootstrapParams, whose first
// field is the id that it also gave as a flag; older ones send the runtime's options or nothing.
// Whoever knows of shim versions from 3 on says so in the environment.
Result<Start> read_start(const Args& args) {
  Start start;
  DAVIT_ASSIGN(const std::string input, read_input(STDIN_FILENO));
  wire::BootstrapParams params;
  wire::Any options;
  const char* max_version = std::getenv("MAX_SHIM_VERSION");
  if (max_version != nullptr && std::atoi(max_version) >= 3) start.answer = Answer::kJson;
  if (!input.empty() && wire::decode(input, params) && params.instance_id == args.id) {
    if (!params.namespace_.empty() && params.namespace_ != args.namespace_) {
      return fail(0, "namespace \"" + args.namespace_ + "\": standard input says \"" +
                         params.namespace_ + "\"");
    }
    start.answer = Answer::kProtobuf;
    start.ttrpc_address = params.ttrpc_address;
    if (!params.socket_dir.empty()) start.socket_dir = params.socket_dir;
    for (const auto& extension : params.extensions)
      DAVIT_TRY(apply_options(extension.value, start));
  } else if (!input.empty() && wire::decode(input, options)) {
    DAVIT_TRY(apply_options(options, start));
  }
  if (const char* dir = std::getenv("DAVIT_SOCKET_DIR"); dir != nullptr && *dir != '\0') {
    start.socket_dir = dir;
  }
  return start;
}

Result<> write_file(const std::string& path, std::string_view text) {
  Fd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!file) return fail_errno("open \"" + path + "\"");
  if (::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    return fail_errno("write \"" + path + "\"");
  }
  return {};
}

// One more than the daemon's: where memory runs out, a shim goes before its daemon.
void adjust_oom_score() {
  Fd file(::open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC));
  char text[16] = {};
  if (!file || ::read(file.get(), text, sizeof text - 1) <= 0) return;
  const int score = std::min(std::atoi(text) + 1, 1000);
  const int length = std::snprintf(text, sizeof text, "%d", score);
  // Not permitted everywhere, and nothing depends on it.
  if (::pwrite(file.get(), text, static_cast<size_t>(length), 0) < 0) return;
}

// Standard error of the server: the daemon's log FIFO. Opened read-write it neither waits for a
// reader nor breaks when the reader goes.
int open_log() {
  const int fd = ::open("log", O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  struct stat st{};
  if (fd >= 0 && ::fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode)) return fd;
  return ::open("/dev/null", O_RDWR | O_CLOEXEC);
}

// In the forked child: becomes the server. Returns only on failure.
void become_server(const Args& args, const char* program, const Start& start, const Fd& listener) {
  ::setsid();
  adjust_oom_score();
  if (!start.shim_cgroup.empty()) join_shim_cgroup(start.shim_cgroup);
  if (!start.ttrpc_address.empty()) ::setenv("TTRPC_ADDRESS", start.ttrpc_address.c_str(), 1);
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  const int log = open_log();
  ::dup2(null, STDIN_FILENO);
  ::dup2(null, STDOUT_FILENO);
  ::dup2(log, STDERR_FILENO);
  // dup2 onto itself would keep close-on-exec.
  const int kept = listener.get() == 3 ? ::fcntl(3, F_SETFD, 0) : ::dup2(listener.get(), 3);
  if (kept < 0) return;
  ::close_range(4, ~0u, CLOSE_RANGE_CLOEXEC);  // what the daemon let through by mistake
  std::vector<std::string> words{program, "-namespace", args.namespace_, "-id",
                                 args.id, "-address",   args.address};
  if (args.debug) words.push_back("-debug");
  std::vector<char*> argv;
  for (auto& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  ::execve("/proc/self/exe", argv.data(), environ);
}

std::string encode_answer(Answer answer, const std::string& address) {
  if (answer == Answer::kAddress) return address;
  // The address has no character that JSON escapes: a hash below a directory the daemon chose.
  if (answer == Answer::kJson) {
    return R"({"version":3,"address":")" + address + R"(","protocol":"ttrpc"})";
  }
  pb::Writer result;
  result.varint(1, 3);
  result.text(2, address);
  result.text(3, "ttrpc");
  return result.take();
}

Result<std::string> start_shim(const Args& args, const char* program) {
  if (args.namespace_.empty()) return fail(0, "shim namespace cannot be empty");
  if (args.id.empty()) return fail(0, "shim id cannot be empty");
  DAVIT_ASSIGN(const Start start, read_start(args));
  if (!args.bundle.empty() && ::chdir(args.bundle.c_str()) != 0) {
    return fail_errno("bundle \"" + args.bundle + "\"");
  }
  DAVIT_ASSIGN(const std::string path,
               socket_path(start.socket_dir, args.address, args.namespace_, args.id));
  const std::string address = "unix://" + path;
  DAVIT_TRY(fault::at("shim.bootstrap.before-bind"));
  DAVIT_ASSIGN(Listener listener, listen_at(path));
  if (listener.already) return encode_answer(start.answer, address);

  const auto launch = [&]() -> Result<pid_t> {
    DAVIT_TRY(fault::at("shim.bootstrap.after-bind"));
    DAVIT_TRY(write_file("address", address));
    const pid_t pid = ::fork();
    if (pid < 0) return fail_errno("fork");
    if (pid == 0) {
      become_server(args, program, start, listener.fd);
      ::_exit(1);
    }
    return pid;
  };
  auto pid = launch();
  if (!pid) {
    ::unlink(path.c_str());
    return std::unexpected(pid.error());
  }
  const auto record = [&]() -> Result<> {
    DAVIT_TRY(write_file("shim.pid", std::to_string(*pid)));
    return fault::at("shim.bootstrap.before-answer");
  };
  if (auto recorded = record(); !recorded) {
    ::kill(*pid, SIGKILL);
    ::unlink(path.c_str());
    return std::unexpected(recorded.error());
  }
  return encode_answer(start.answer, address);
}

}  // namespace

int start_action(const Args& args, const char* program) {
  // The listener must not come to lie on a standard descriptor.
  for (int fd = 0; fd < 3; fd++) {
    if (::fcntl(fd, F_GETFD) < 0) (void)::open("/dev/null", O_RDWR);
  }
  const auto answer = start_shim(args, program);
  if (!answer) {
    std::fprintf(stderr, "containerd-shim-davit-v1: %s\n", answer.error().text().c_str());
    return 1;
  }
  const auto size = static_cast<ssize_t>(answer->size());
  if (::write(STDOUT_FILENO, answer->data(), answer->size()) != size) return 1;
  return fault::at("shim.bootstrap.after-answer") ? 0 : 1;
}

}  // namespace davit::shim
