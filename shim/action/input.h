// What a daemon writes to the shim's standard input.
#pragma once

#include <string>

#include "native/kernel/result.h"

namespace davit::shim {

// Everything up to end of file, at most 10 MB. A terminal is not read; of a pipe that somebody
// keeps open, what came by the time it has been silent for a second is all there is.
Result<std::string> read_input(int fd);

}  // namespace davit::shim
