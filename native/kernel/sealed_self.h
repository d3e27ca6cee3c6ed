// The own executable through a descriptor that nobody can use to change it: what a program that
// enters containers must run from (CVE-2019-5736).
#pragma once

#include "native/kernel/fd.h"
#include "native/kernel/result.h"

namespace davit::kernel {

// True when this process already runs from a sealed copy.
bool running_sealed();

// A descriptor for execveat(fd, "", ..., AT_EMPTY_PATH): a detached read-only mount of the file,
// which costs no memory, or where the kernel refuses that a sealed memfd copy.
Result<Fd> sealed_self();

}  // namespace davit::kernel
