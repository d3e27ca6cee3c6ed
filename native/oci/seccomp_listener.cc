#include "native/oci/seccomp_listener.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "native/oci/channel.h"
#include "native/oci/json_text.h"

namespace davit::oci {
namespace {

constexpr timeval kPatience = {10, 0};  // with an agent that does not take what it is sent

Result<Fd> connect_to(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return fail(ENAMETOOLONG, '"' + path + '"');
  path.copy(address.sun_path, path.size());
  Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket) return fail_errno("socket");
  if (::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &kPatience, sizeof kPatience) != 0 ||
      ::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
    return fail_errno("connect to \"" + path + '"');
  return socket;
}

// The descriptor goes with the first part.
Result<> send_all(int socket, std::string_view text, int fd) {
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  while (!text.empty()) {
    iovec part = {const_cast<char*>(text.data()), text.size()};
    msghdr message = {};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (fd >= 0) {
      message.msg_control = control;
      message.msg_controllen = sizeof control;
      cmsghdr* header = CMSG_FIRSTHDR(&message);
      header->cmsg_level = SOL_SOCKET;
      header->cmsg_type = SCM_RIGHTS;
      header->cmsg_len = CMSG_LEN(sizeof fd);
      std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
    }
    ssize_t sent = ::sendmsg(socket, &message, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return fail_errno("send");
    text.remove_prefix(static_cast<std::size_t>(sent));
    fd = -1;
  }
  return {};
}

Result<> hand_over(const ListenerOwner& owner, int number, const SeccompFilter& filter,
                   const HookState& state, const char* status) {
  Fd listener(static_cast<int>(::syscall(SYS_pidfd_getfd, owner.pidfd, number, 0)));
  if (!listener) return fail_errno("take the listener from the process");
  DAVIT_ASSIGN(Fd socket, connect_to(filter.listener_path));
  std::string text = "{\"ociVersion\":" + json::quote(state.oci_version) +
                     ",\"fds\":[\"seccompFd\"],\"pid\":" + std::to_string(owner.pid) +
                     ",\"metadata\":" + json::quote(filter.listener_metadata) +
                     ",\"state\":" + state.json(status, owner.pid) + '}';
  return send_all(socket.get(), text, listener.get());
}

}  // namespace

Result<> offer_listener(int socket, int listener) {
  std::string word = static_cast<char>(kListener) + std::to_string(listener);
  if (::write(socket, word.data(), word.size()) != static_cast<ssize_t>(word.size()))
    return fail_errno("offer the seccomp listener");
  char answer = 0;
  ssize_t got;
  do got = ::read(socket, &answer, 1);
  while (got < 0 && errno == EINTR);
  if (got != 1 || answer != kGo) return fail(ECANCELED, "the creator has gone");
  return {};
}

Result<> hand_over_listener(const ListenerOwner& owner, const std::string& number,
                            const SeccompFilter& filter, const HookState& state,
                            const char* status) {
  auto done = hand_over(owner, ::atoi(number.c_str()), filter, state, status);
  if (!done) return wrap("seccomp listener \"" + filter.listener_path + '"', done.error());
  return {};
}

}  // namespace davit::oci
