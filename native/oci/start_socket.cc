#include "native/oci/start_socket.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "native/kernel/file.h"

namespace davit::oci {
namespace {

// In `dir`, whose path may be longer than an address.
sockaddr_un address_in(int dir) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  ::snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s", dir, kStartSocket);
  return address;
}

}  // namespace

Result<Fd> listen_for_start(const std::string& state_dir) {
  DAVIT_ASSIGN(Fd dir, kernel::open_at(AT_FDCWD, state_dir.c_str(), O_PATH | O_DIRECTORY));
  Fd listener(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!listener) return fail_errno("socket");
  sockaddr_un address = address_in(dir.get());
  mode_t before = ::umask(0177);
  int bound = ::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address);
  ::umask(before);
  if (bound != 0 || ::listen(listener.get(), 4) != 0)
    return fail_errno("listen on \"" + state_dir + '/' + kStartSocket + '"');
  return listener;
}

Result<Fd> connect_to_start(const std::string& state_dir) {
  DAVIT_ASSIGN(Fd dir, kernel::open_at(AT_FDCWD, state_dir.c_str(), O_PATH | O_DIRECTORY));
  Fd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!socket) return fail_errno("socket");
  sockaddr_un address = address_in(dir.get());
  if (::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
    return fail_errno("connect to \"" + state_dir + '/' + kStartSocket + '"');
  return socket;
}

}  // namespace davit::oci
