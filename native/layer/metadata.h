// Owner, mode, times and extended attributes of files, by descriptor or by name in a directory.
#pragma once

#include <sys/stat.h>

#include <string>

#include "native/kernel/fd.h"
#include "native/kernel/result.h"

namespace davit::layer {

// How overlayfs marks directories: with attributes of the trusted or of the user class.
struct OverlayMarks {
  bool user = false;

  const char* opaque() const { return user ? "user.overlay.opaque" : "trusted.overlay.opaque"; }
  const char* prefix() const { return user ? "user.overlay." : "trusted.overlay."; }
};

inline bool is_whiteout(const struct stat& info) {
  return S_ISCHR(info.st_mode) && info.st_rdev == 0;
}

// Whether the directory `fd` hides what lies below it in lower layers.
bool is_opaque(int fd, OverlayMarks marks);

// Names an open file for the calls that only take paths. An O_PATH descriptor of a symbolic link
// names the link itself.
std::string proc_path(int fd);

// Sets an attribute on what `fd` refers to, O_PATH included. A file system or file type that cannot
// hold it is not an error, as for containerd.
Result<> set_xattr(int fd, const std::string& key, const std::string& value);

// Copies all attributes but overlayfs's own; `to` may be O_PATH.
Result<> copy_xattrs(int from, int to);

// Copies owner, attributes and mode of `info`, which is `from`'s, to `to`; not O_PATH. Times are
// left to the caller, who may still change the file.
Result<> copy_ownership(int from, const struct stat& info, int to);

// Copies what `name` in `from` is (not a directory) to `name` in `to`: content, owner, mode,
// attributes and times. Content is shared with the original where the file system can.
Result<> copy_file(int from, int to, const std::string& name);

}  // namespace davit::layer
