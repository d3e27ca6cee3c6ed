#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <algorithm>

#include "native/kernel/file.h"
#include "native/kernel/in_root.h"
#include "native/layer/change_writer.h"
#include "native/layer/copy_path.h"
#include "native/layer/dir_stack.h"

namespace davit::layer {
namespace {

// Views of the kernel, not files: endless, and different for whoever reads them.
bool is_kernels_own(int fd) {
  struct statfs info;
  if (fstatfs(fd, &info) < 0) return false;
  for (auto magic : {PROC_SUPER_MAGIC, SYSFS_MAGIC, CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC})
    if (info.f_type == static_cast<decltype(info.f_type)>(magic)) return true;
  return false;
}

class Walk {
 public:
  Walk(DirStack stack, std::string name, ChangeWriter& archive, const Cancel& cancel)
      : stack_(std::move(stack)), name_(std::move(name)), archive_(archive), cancel_(cancel) {}

  Result<> run() {
    DAVIT_TRY(open_level());
    while (!levels_.empty()) {
      DAVIT_TRY(cancel_.check());
      std::vector<std::string>& names = levels_.back();
      if (names.empty()) {
        levels_.pop_back();
        if (!levels_.empty()) DAVIT_TRY(stack_.leave());
        continue;
      }
      std::string name = std::move(names.back());
      names.pop_back();
      DAVIT_TRY(entry(name));
    }
    return {};
  }

 private:
  // In descending order: the next is at the back.
  Result<> open_level() {
    std::vector<std::string> names;
    if (!is_kernels_own(stack_.fd())) {
      DAVIT_ASSIGN(std::vector<DirEntry> entries, stack_.list());
      for (DirEntry& each : entries) names.push_back(std::move(each.name));
      std::sort(names.rbegin(), names.rend());
    }
    levels_.push_back(std::move(names));
    return {};
  }

  Result<> entry(const std::string& name) {
    struct stat info;
    if (fstatat(stack_.fd(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) < 0) {
      if (errno == ENOENT) return {};  // vanished meanwhile
      return fail_errno("stat \"" + stack_.path(name) + "\"");
    }
    std::string path = name_ + "/" + stack_.path_in_root(name);
    DAVIT_TRY(archive_.changed(path, stack_.fd(), name, info));
    if (!S_ISDIR(info.st_mode)) return {};
    DAVIT_TRY(stack_.enter(name));
    return open_level();
  }

  DirStack stack_;
  std::string name_;
  ChangeWriter& archive_;
  const Cancel& cancel_;
  std::vector<std::vector<std::string>> levels_;
};

}  // namespace

Result<> copy_out(const std::string& root_path, Fd out, const CopyOut& options,
                  const Cancel& cancel) {
  Fd root(open(root_path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root) return fail_errno("open \"" + root_path + "\"");
  int flags = O_PATH | (options.follow ? 0 : O_NOFOLLOW);
  DAVIT_ASSIGN(Fd found, kernel::open_in_root(root.get(), options.path, flags));
  struct stat info;
  if (fstat(found.get(), &info) < 0) return fail_errno("stat \"" + options.path + "\"");

  DAVIT_ASSIGN(std::unique_ptr<BlobWriter> blob,
               BlobWriter::start(std::move(out), Compression::kNone, cancel));
  TarWriter tar(*blob);
  ChangeWriter archive(tar, root.get(), {options.uids, options.gids, {}}, cancel);
  if (S_ISDIR(info.st_mode)) {
    DAVIT_TRY(archive.changed(options.name, found.get(), ".", info));
    if (options.walk) {
      DAVIT_ASSIGN(Fd top, kernel::open_at(found.get(), ".", O_RDONLY | O_DIRECTORY));
      DAVIT_ASSIGN(DirStack stack, DirStack::open(std::move(top), options.path, true));
      DAVIT_TRY(Walk(std::move(stack), options.name, archive, cancel).run());
    }
  } else {
    info.st_nlink = 1;  // its other names are none of this archive
    DAVIT_TRY(archive.changed(options.name, found.get(), "", info));
  }
  DAVIT_TRY(tar.end());
  Result<BlobSummary> written = blob->finish();
  return written ? Result<>() : std::unexpected(std::move(written).error());
}

}  // namespace davit::layer
