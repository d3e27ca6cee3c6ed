// The socket at which a created container waits for whoever starts it. Init itself listens, so that
// nothing else need live between `create` and `start`, and its execve closes it.
#pragma once

#include <string>

#include "native/kernel/fd.h"
#include "native/kernel/result.h"

namespace davit::oci {

inline constexpr char kStartSocket[] = "start.sock";

Result<Fd> listen_for_start(const std::string& state_dir);

// ENOENT or ECONNREFUSED: nothing waits there any more.
Result<Fd> connect_to_start(const std::string& state_dir);

}  // namespace davit::oci
