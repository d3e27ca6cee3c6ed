// DirStack: where a depth-first walk stands in a directory tree, by descriptors only.
//
// Few descriptors are kept however deep the tree is: a directory far above is reopened through ".."
// when the walk comes back, and its identity compared. Symbolic links are never entered, mount
// points only when that is asked for.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "native/kernel/fd.h"
#include "native/kernel/result.h"

namespace davit::layer {

// The entries of a directory, as getdents64 gives them, "." and ".." left out. One that has been
// removed meanwhile has none.
struct DirEntry {
  std::string name;
  unsigned char type;  // DT_*; DT_UNKNOWN on file systems without it
};
Result<std::vector<DirEntry>> list_directory(int fd);

class DirStack {
 public:
  // `label` is how the root is called in errors.
  static Result<DirStack> open(Fd root, std::string label, bool mounts = false);

  int fd() const { return levels_.back().fd.get(); }
  size_t depth() const { return levels_.size() - 1; }
  const std::string& name() const { return levels_.back().name; }

  // Into the subdirectory `name`, which must be a directory; on the same mount (else EXDEV) unless
  // mounts are entered.
  Result<> enter(const std::string& name);
  // Back to the parent; not from the root. Fails with ESTALE if the directory was moved meanwhile.
  Result<> leave();

  // The entries of the current directory.
  Result<std::vector<DirEntry>> list() const;

  // Path of `name` in the current directory, for errors; relative to the root for `path_in_root`.
  std::string path(const std::string& name) const;
  std::string path_in_root(const std::string& name) const;

 private:
  static constexpr size_t kOpenLevels = 32;

  struct Level {
    Fd fd;
    dev_t device = 0;
    ino_t inode = 0;
    std::string name;
  };

  DirStack(std::string label, bool mounts) : label_(std::move(label)), mounts_(mounts) {}
  Result<> push(Fd fd, std::string name);

  std::string label_;
  bool mounts_;
  std::vector<Level> levels_;
};

}  // namespace davit::layer
