// How a container's first process ended, in its bundle: what the delete action tells the daemon
// when the shim that saw the end has itself been killed.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

#include "native/kernel/result.h"
#include "shim/wire/messages.h"

namespace davit::shim {

// A child of the shim that has ended.
struct Exit {
  pid_t pid = -1;
  uint32_t status = 0;  // 128 + signal when a signal ended it
  wire::Timestamp at;
};

// One small write: a reader sees all of it or nothing.
Result<> write_exit_record(const std::string& bundle, const Exit& exit);
std::optional<Exit> read_exit_record(const std::string& bundle);

}  // namespace davit::shim
