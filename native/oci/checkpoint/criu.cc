#include "native/oci/checkpoint/criu.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "native/kernel/file.h"
#include "native/kernel/process.h"
#include "native/oci/channel.h"

namespace davit::oci {
namespace {

constexpr std::size_t kLargestLog = 64 << 20;
constexpr int kMostErrors = 3;

Result<std::string> find_criu() {
  const char* path = ::getenv("PATH");
  std::string_view rest = path == nullptr ? "/usr/sbin:/usr/bin:/sbin:/bin" : path;
  while (!rest.empty()) {
    std::string candidate = std::string(rest.substr(0, rest.find(':'))) + "/criu";
    rest.remove_prefix(std::min(rest.size(), candidate.size() - 4));
    if (candidate.front() == '/' && ::access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return fail(ENOENT, "checkpoints need the program criu, which is not in $PATH");
}

// The first lines in which criu's log says "Error".
std::string errors_in(const std::string& log) {
  auto text = kernel::read_file(AT_FDCWD, log.c_str(), kLargestLog);
  if (!text) return "";
  std::string out;
  std::string_view rest = *text;
  for (int found = 0; found < kMostErrors && !rest.empty();) {
    std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    std::size_t at = line.find("Error (");
    if (at == std::string_view::npos) continue;
    out += (out.empty() ? ": " : "; ") + std::string(line.substr(at));
    found++;
  }
  return out;
}

[[noreturn]] void become(const CriuRun& run, const std::string& program, int socket) {
  Result<> ready = run.prepare ? run.prepare() : Result<>();
  if (ready) {
    int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = 0; fd < 3; fd++) ::dup2(null, fd);
    std::vector<char*> args{const_cast<char*>("criu")};
    for (const std::string& arg : run.args) args.push_back(const_cast<char*>(arg.c_str()));
    args.push_back(nullptr);
    ::execv(program.c_str(), args.data());
    ready = fail_errno("exec \"" + program + '"');
  }
  (void)kernel::send_message(socket, kFailed, failure_text(ready.error()));
  ::_exit(127);
}

}  // namespace

Result<> run_criu(const CriuRun& run) {
  DAVIT_ASSIGN(std::string program, find_criu());
  DAVIT_ASSIGN(auto ends, kernel::message_pair());
  DAVIT_ASSIGN(kernel::Child child, kernel::clone_process(0, run.cgroup));
  if (child.pid == 0) become(run, program, ends.second.get());
  ends.second.reset();
  struct pollfd item = {child.pidfd.get(), POLLIN, 0};
  int done;
  do done = ::poll(&item, 1, run.deadline_ms);
  while (done < 0 && errno == EINTR);
  if (done == 0) (void)kernel::signal_pidfd(child.pidfd.get(), SIGKILL);
  DAVIT_ASSIGN(int status, kernel::reap(child.pid));
  if (done == 0) return fail(ETIMEDOUT, "criu");
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  auto said = kernel::receive_message(ends.first.get(), 0);
  if (said && said->kind == kFailed) return std::unexpected(failure_of(said->text));
  return fail(0,
              "criu " + run.args.front() + " failed" + errors_in(run.log) + " (" + run.log + ')');
}

}  // namespace davit::oci
