// The delete action: run by the daemon when a shim has died, or could not be made to create its
// container. Whatever the shim held on the host goes; what is gone already is success.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "native/oci/container.h"
#include "shim/action/actions.h"
#include "shim/action/socket.h"
#include "shim/fault.h"
#include "shim/log.h"
#include "shim/task/exit_record.h"
#include "shim/task/oci_runtime.h"
#include "shim/task/rootfs.h"
#include "shim/wire/messages.h"

namespace davit::shim {

namespace {

constexpr uint32_t kKilled = 128 + SIGKILL;
constexpr int kShimEndTime = 3000;

std::string read_small_file(const std::string& path) {
  Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  char buffer[4096];
  const ssize_t count = file ? ::read(file.get(), buffer, sizeof buffer) : 0;
  return std::string(buffer, count > 0 ? static_cast<size_t>(count) : 0);
}

// Whether the process is the server of this id: the pid may have been given to somebody else.
bool serves(pid_t pid, const std::string& id) {
  const std::string words = read_small_file("/proc/" + std::to_string(pid) + "/cmdline");
  const std::string wanted = std::string("\0-id\0", 5) + id + '\0';
  return words.find("-shim-") != std::string::npos && words.find(wanted) != std::string::npos;
}

void end_shim(const std::string& bundle, const std::string& id) {
  const int pid = std::atoi(read_small_file(bundle + "/shim.pid").c_str());
  if (pid <= 1) return;
  Fd process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!process || !serves(pid, id)) return;
  ::syscall(SYS_pidfd_send_signal, process.get(), SIGKILL, nullptr, 0);
  pollfd ended{.fd = process.get(), .events = POLLIN, .revents = 0};
  ::poll(&ended, 1, kShimEndTime);
}

void remove_socket(const std::string& bundle, const Args& args) {
  const std::string address = read_small_file(bundle + "/address");
  if (address.starts_with("unix:///")) {
    ::unlink(address.c_str() + 7);
    return;
  }
  // Who started the shim died before the address was written down.
  const char* dir = std::getenv("DAVIT_SOCKET_DIR");
  if (dir == nullptr || *dir == '\0') return;
  if (const auto path = socket_path(dir, args.address, args.namespace_, args.id)) {
    ::unlink(path->c_str());
  }
}

// How init ended, where the shim lived to see it. Else it ends now, by what follows.
Exit exit_of(const std::string& bundle) {
  const auto recorded = read_exit_record(bundle);
  const auto container = oci::Container::load(bundle);
  const pid_t pid = container ? (*container)->pid() : 0;
  // Without a state the container is deleted already; the record is its.
  if (recorded && (!container || recorded->pid == pid)) return *recorded;
  return {pid, kKilled, wire::Timestamp::now()};
}

}  // namespace

int delete_action(const Args& args) {
  std::string bundle = args.bundle;
  if (bundle.empty()) {
    char* here = ::getcwd(nullptr, 0);
    if (here != nullptr) bundle = here;
    std::free(here);
  }
  if (args.id.empty() || !bundle.starts_with('/')) {
    std::fprintf(stderr, "delete: -id and an absolute -bundle are required\n");
    return 1;
  }
  if (!fault::at("shim.cleanup.begin")) return 1;
  end_shim(bundle, args.id);
  const Exit exit = exit_of(bundle);
  int code = 0;
  if (auto runtime = OciRuntime::of(bundle, args.id)) {
    if (auto removed = runtime->remove(); !removed) log(removed.error().text());
  }
  for (const auto& step : {oci::destroy_left_behind(bundle), rootfs::unmount(bundle + "/rootfs")}) {
    if (step) continue;
    std::fprintf(stderr, "delete \"%s\": %s\n", args.id.c_str(), step.error().text().c_str());
    code = 1;
  }
  if (!fault::at("shim.cleanup.before-answer")) return 1;
  remove_socket(bundle, args);
  const std::string response =
      wire::encode_delete(static_cast<uint32_t>(exit.pid), exit.status, exit.at);
  if (::write(STDOUT_FILENO, response.data(), response.size()) < 0) return 1;
  return code;
}

}  // namespace davit::shim
