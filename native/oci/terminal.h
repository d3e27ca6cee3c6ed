// Pseudo terminals of a container, made in its own devpts.
#pragma once

#include "native/kernel/fd.h"
#include "native/kernel/result.h"
#include "native/oci/spec.h"

namespace davit::oci {

struct Terminal {
  Fd master, slave;
};
// `root` is the container's root. The slave belongs to the process's user.
Result<Terminal> open_terminal(int root, const ProcessSpec& process);

// Makes it the calling session leader's controlling terminal and its standard streams.
Result<> use_terminal(int slave);

}  // namespace davit::oci
