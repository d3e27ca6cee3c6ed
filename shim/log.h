// The shim's log: one line per call on standard error, which is the bundle's `log` FIFO or
// /dev/null. Never blocks; a line that does not fit is lost. Not used in a container's path when
// nothing goes wrong.
#pragma once

#include <string_view>

namespace davit::shim {

// Puts the container into every line from now on: the shims of a daemon share one FIFO.
void log_as(std::string_view name_space, std::string_view id);

void log(std::string_view message);

}  // namespace davit::shim
