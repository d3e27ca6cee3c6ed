// Paths inside a root that an adversary may be changing right now. Every step is openat2 with
// RESOLVE_IN_ROOT on the root's descriptor: symbolic links stay inside, magic links are refused,
// and what is returned is a descriptor, never a string.
#pragma once

#include <sys/types.h>

#include <string_view>

#include "native/kernel/fd.h"
#include "native/kernel/result.h"

namespace davit::kernel {

// Opens `path` (absolute or relative, both mean: from the root). `flags` as for open.
Result<Fd> open_in_root(int root, std::string_view path, int flags);

// The same, but no component may be a symbolic link: ELOOP.
Result<Fd> open_in_root_nofollow(int root, std::string_view path, int flags);

// Opens the directory `path` (O_PATH), making what is missing. A dangling link on the way is made
// good inside the root, as mkdir -p in a chroot would.
Result<Fd> make_dir_in_root(int root, std::string_view path, mode_t mode);

// Opens the file `path` (O_PATH), making an empty one and its directories when it is missing.
Result<Fd> make_file_in_root(int root, std::string_view path, mode_t mode);

}  // namespace davit::kernel
