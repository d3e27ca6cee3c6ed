#include "shim/action/socket.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

#include "shim/action/sha256.h"

namespace davit::shim {

namespace {

// One byte less than the kernel allows: the limit that containerd's clients check.
constexpr size_t kLongestPath = 106;

sockaddr_un to_address(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

Fd new_socket() {
  return Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

int bind_private(const Fd& fd, const std::string& path) {
  const sockaddr_un address = to_address(path);
  const mode_t before = ::umask(0177);
  const int bound = ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  const int code = bound == 0 ? 0 : errno;
  ::umask(before);
  return code;
}

Result<> make_directories(const std::string& dir) {
  for (size_t slash = dir.find('/', 1);; slash = dir.find('/', slash + 1)) {
    const bool last = slash == std::string::npos;
    const std::string part = last ? dir : dir.substr(0, slash);
    if (::mkdir(part.c_str(), last ? 0700 : 0711) != 0 && errno != EEXIST) {
      return fail_errno("create directory \"" + part + "\"");
    }
    if (last) return {};
  }
}

bool answers(const std::string& path) {
  const Fd fd = new_socket();
  const sockaddr_un address = to_address(path);
  if (!fd) return false;
  const auto* at = reinterpret_cast<const sockaddr*>(&address);
  // EAGAIN: its backlog is full, so somebody does listen.
  return ::connect(fd.get(), at, sizeof address) == 0 || errno == EAGAIN;
}

}  // namespace

Result<std::string> socket_path(const std::string& dir, const std::string& daemon_address,
                                const std::string& namespace_, const std::string& id) {
  std::string path = dir + "/" + sha256_hex(daemon_address + "/" + namespace_ + "/" + id);
  if (path.size() <= kLongestPath) return path;
  return fail(0, "socket path \"" + path + "\": " + std::to_string(path.size()) +
                     " characters, the limit is " + std::to_string(kLongestPath) +
                     "; choose a shorter socket directory");
}

Result<Listener> listen_at(const std::string& path) {
  Fd fd = new_socket();
  if (!fd) return fail_errno("socket");
  int code = bind_private(fd, path);
  if (code == ENOENT) {
    DAVIT_TRY(make_directories(path.substr(0, path.rfind('/'))));
    code = bind_private(fd, path);
  }
  if (code == EADDRINUSE) {
    if (answers(path)) return Listener{{}, true};
    ::unlink(path.c_str());
    code = bind_private(fd, path);
  }
  if (code != 0) return fail(code, "bind \"" + path + "\"");
  if (::listen(fd.get(), 64) != 0) return fail_errno("listen \"" + path + "\"");
  return Listener{std::move(fd), false};
}

}  // namespace davit::shim
