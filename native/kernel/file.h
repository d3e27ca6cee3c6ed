// Small files by descriptor: configuration, cgroup and proc files.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "native/kernel/fd.h"
#include "native/kernel/result.h"

namespace davit::kernel {

// openat with O_CLOEXEC; the error names `path`.
Result<Fd> open_at(int dir, const char* path, int flags, mode_t mode = 0);

// The whole file, EFBIG past `limit`.
Result<std::string> read_file(int dir, const char* path, std::size_t limit = 1 << 20);
Result<std::string> read_all(int fd, std::size_t limit);

// Exactly one write(2), which is what kernel interface files count as one value. Creates nothing.
Result<> write_value(int dir, const char* path, std::string_view value);

// Replaces `name` in `dir` by rename, so that a reader never sees half of it.
Result<> replace_file(int dir, const char* name, std::string_view content, mode_t mode);

// mkdir -p below `dir` for paths that only trusted programs can change.
Result<> make_dirs(int dir, const char* path, mode_t mode);

}  // namespace davit::kernel
