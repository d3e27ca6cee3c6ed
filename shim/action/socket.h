// The shim's own socket: where it lies, and making it without a moment in which it is open to
// others.
#pragma once

#include <string>

#include "native/kernel/fd.h"
#include "native/kernel/result.h"

namespace davit::shim {

// <dir>/<hash of daemon, namespace and id>; fails when the path is too long for a socket.
Result<std::string> socket_path(const std::string& dir, const std::string& daemon_address,
                                const std::string& namespace_, const std::string& id);

struct Listener {
  Fd fd;  // listening; empty when a living shim already holds the path
  bool already = false;
};
// Makes the directory (0700) if need be and the socket (0600), taking the place of a dead one.
Result<Listener> listen_at(const std::string& path);

}  // namespace davit::shim
