// Pseudo terminals from the container's own devpts.
#pragma once

#include <cstdint>

#include "native/kernel/fd.h"
#include "native/kernel/result.h"

namespace davit::oci {

struct Terminal {
  Fd master, slave;
};

// A new terminal of the devpts at /dev/pts below `root`, which must be a devpts: an image may put
// anything there. `rows` and `columns` 0 leave the size alone.
Result<Terminal> open_terminal(int root, std::uint16_t rows, std::uint16_t columns);

// Makes `slave` the controlling terminal and descriptors 0, 1 and 2 of the calling process, which
// must lead a session.
Result<> use_terminal(int slave);

}  // namespace davit::oci
