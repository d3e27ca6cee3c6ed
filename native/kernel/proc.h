// The machine's own procfs, proven to be one: files below it can be trusted, which those of a
// container's /proc cannot.
#pragma once

#include "native/kernel/fd.h"
#include "native/kernel/result.h"

namespace davit::kernel {

// /proc as a directory descriptor. EXDEV when something else is mounted there.
Result<Fd> open_proc();

// Opens `path` below it without magic links and without leaving that mount: nothing mounted over a
// part of it is taken for it.
Result<Fd> open_in_proc(int proc, const char* path, int flags);

// True when the descriptor is on a procfs.
bool is_procfs(int fd);

}  // namespace davit::kernel
