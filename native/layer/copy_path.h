// A file or tree in a root that somebody may be changing right now, out of it as an archive and
// into it from one. Used for a container's root from outside, and for the user's own files.
//
// Paths are resolved inside the root (native/kernel/in_root.h), trees are walked and written by
// descriptor, one name at a time: whatever is renamed or linked meanwhile, nothing outside the root
// is read or written. What is opened for its content is known to be a regular file.
#pragma once

#include <string>

#include "native/kernel/idmap.h"
#include "native/layer/cancel.h"
#include "native/layer/tar_entry.h"

namespace davit::layer {

struct CopyOut {
  std::string path{};   // in the root
  bool follow = false;  // the last component may be a link; else it is the link that is meant
  bool walk = true;     // with all below it; else only the entry of the path itself
  std::string name{};   // in the archive, for the path
  // Files belong to a container's ids outside; the archive gets those inside.
  kernel::IdMap uids{}, gids{};
};

// Writes the archive to the pipe `out`. Other file systems below are entered, the kernel's own
// (proc, sysfs, cgroups) are not.
Result<> copy_out(const std::string& root, Fd out, const CopyOut& options, const Cancel& cancel);

struct Owner {
  uint32_t uid = 0, gid = 0;
};

struct CopyIn {
  std::string path{};               // in the root: a directory that is there
  std::optional<std::string> as{};  // in place of the first component of every name
  std::optional<Owner> owner{};     // of everything; else each entry's own
  bool devices = true;              // else device nodes are left out
  kernel::IdMap uids{}, gids{};     // from ids inside to ids outside
};

// Writes what comes over the pipe `in`, compressed or not. Names stay below `path`. A directory is
// never replaced by something else, nor the other way round: EISDIR, ENOTDIR.
Result<> copy_in(const std::string& root, Fd in, const CopyIn& options, const Cancel& cancel);

}  // namespace davit::layer
