#include "native/layer/usage.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <set>
#include <vector>

#include "native/layer/dir_stack.h"

namespace davit::layer {
namespace {

class Counter {
 public:
  // True if `name` is a directory to be entered. `base` is the same directory in the other tree.
  bool add(int parent, const Fd& base, const char* name) {
    struct stat info;
    if (fstatat(parent, name, &info, AT_SYMLINK_NOFOLLOW) < 0) return false;
    struct stat before;
    if (base && fstatat(base.get(), name, &before, AT_SYMLINK_NOFOLLOW) == 0 &&
        before.st_ino == info.st_ino && before.st_ctim.tv_sec == info.st_ctim.tv_sec &&
        before.st_ctim.tv_nsec == info.st_ctim.tv_nsec) {
      return S_ISDIR(info.st_mode);
    }
    if (!S_ISDIR(info.st_mode) && info.st_nlink > 1 &&
        !linked_.emplace(info.st_dev, info.st_ino).second) {
      return false;
    }
    usage.bytes += static_cast<int64_t>(info.st_blocks) * 512;
    usage.inodes++;
    return S_ISDIR(info.st_mode);
  }

  Usage usage;

 private:
  std::set<std::pair<dev_t, ino_t>> linked_;
};

// Nothing when it is not there.
Fd open_in(const Fd& base, const std::string& path) {
  if (!base) return {};
  open_how how{};
  how.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
  const char* below = path.empty() ? "." : path.c_str();
  return Fd(static_cast<int>(syscall(SYS_openat2, base.get(), below, &how, sizeof how)));
}

}  // namespace

Result<Usage> disk_usage(const std::string& root, const Cancel& cancel, const std::string& base) {
  Fd fd(open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd && errno == ENOENT) return Usage{};
  if (!fd) return fail_errno("open directory \"" + root + "\"");
  Fd other;
  if (!base.empty()) other = Fd(open(base.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  Counter counter;
  counter.add(fd.get(), other, ".");
  DAVIT_ASSIGN(DirStack stack, DirStack::open(std::move(fd), root));

  // Per level, the directories that are still to be entered.
  std::vector<std::vector<std::string>> pending;
  auto count_here = [&]() -> Result<> {
    DAVIT_TRY(cancel.check());
    std::vector<std::string> directories;
    DAVIT_ASSIGN(std::vector<DirEntry> entries, stack.list());
    Fd before = open_in(other, stack.path_in_root(""));
    for (DirEntry& entry : entries) {
      if (counter.add(stack.fd(), before, entry.name.c_str()))
        directories.push_back(std::move(entry.name));
    }
    pending.push_back(std::move(directories));
    return {};
  };

  DAVIT_TRY(count_here());
  for (;;) {
    if (pending.back().empty()) {
      pending.pop_back();
      if (pending.empty()) return counter.usage;
      DAVIT_TRY(stack.leave());
      continue;
    }
    std::string name = std::move(pending.back().back());
    pending.back().pop_back();
    if (Result<> entered = stack.enter(name); !entered) {
      int code = entered.error().code;
      // Vanished, replaced, or another file system is mounted there: not this tree's.
      if (code == ENOENT || code == ENOTDIR || code == EXDEV || code == ELOOP) continue;
      return std::unexpected(std::move(entered).error());
    }
    DAVIT_TRY(count_here());
  }
}

}  // namespace davit::layer
