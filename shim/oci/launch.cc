#include "shim/oci/launch.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "native/kernel/file.h"
#include "native/kernel/sealed_self.h"

namespace davit::oci_cli {

Result<int> passed_descriptors(const Options& options, std::vector<std::string>& env) {
  constexpr std::int64_t kMost = 1 << 16;
  std::int64_t preserved = options.number("preserve-fds").value_or(0);
  if (preserved < 0 || preserved > kMost) return fail(EINVAL, "--preserve-fds");
  std::int64_t activated = 0;
  if (const char* listen = ::getenv("LISTEN_FDS")) {
    activated = parse_integer(listen).value_or(0);
    if (activated > 0 && activated <= kMost) {
      env.push_back("LISTEN_FDS=" + std::to_string(activated));
      env.emplace_back("LISTEN_PID=1");
    } else {
      activated = 0;
    }
  }
  int count = static_cast<int>(preserved + activated);
  // It may have come to lie among them.
  if (count > 0) kernel::let_go_of_seal();
  for (int fd = 3; fd < 3 + count; fd++) {
    if (::fcntl(fd, F_GETFD) < 0)
      return fail(0, "please check that preserved-fd " + std::to_string(fd - 3) + " (of " +
                         std::to_string(count) + ") is present");
    if (::fcntl(fd, F_SETFD, 0) != 0) return fail_errno("keep descriptor " + std::to_string(fd));
  }
  return count;
}

Result<> check_terminal(bool terminal, bool detached, const Options& options) {
  bool socket = options.has("console-socket");
  if (detached && terminal && !socket)
    return fail(0, "cannot allocate tty if davit-oci will detach without setting console socket");
  if ((!detached || !terminal) && socket)
    return fail(0, "cannot use console socket if davit-oci will not detach or allocate tty");
  return {};
}

Result<Fd> connect_console_socket(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  // By descriptor: the path may be longer than an address.
  DAVIT_ASSIGN(Fd file, kernel::open_at(AT_FDCWD, path.c_str(), O_PATH));
  ::snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d", file.get());
  Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket) return fail_errno("socket");
  if (::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
    return fail_errno("connect to console socket \"" + path + '"');
  return socket;
}

Result<> send_console(int socket, int master) {
  // The receivers expect a name with it.
  char name[] = "/dev/ptmx";
  struct iovec bytes = {name, sizeof name - 1};
  alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  struct msghdr message = {};
  message.msg_iov = &bytes;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  struct cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  ::memcpy(CMSG_DATA(header), &master, sizeof master);
  if (::sendmsg(socket, &message, MSG_NOSIGNAL) < 0) return fail_errno("send the terminal");
  return {};
}

Result<> write_pid_file(const std::string& path, pid_t pid) {
  if (path.empty()) return {};
  std::size_t slash = path.rfind('/');
  std::string dir = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  DAVIT_ASSIGN(Fd fd, kernel::open_at(AT_FDCWD, dir.c_str(), O_PATH | O_DIRECTORY));
  constexpr mode_t kMode = 0644;
  return kernel::replace_file(fd.get(), name.c_str(), std::to_string(pid), kMode);
}

}  // namespace davit::oci_cli
