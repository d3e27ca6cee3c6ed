#include "native/layer/diff.h"

#include <fcntl.h>
#include <sys/xattr.h>

#include <algorithm>

#include "native/layer/change_writer.h"
#include "native/layer/dir_stack.h"
#include "native/layer/same_file.h"

namespace davit::layer {
namespace {

Result<std::vector<std::string>> sorted_names(const DirStack& stack) {
  DAVIT_ASSIGN(std::vector<DirEntry> entries, stack.list());
  std::vector<std::string> names;
  for (DirEntry& entry : entries) names.push_back(std::move(entry.name));
  std::sort(names.begin(), names.end());
  return names;
}

Result<struct stat> stat_in(const DirStack& stack, const std::string& name) {
  struct stat info;
  if (fstatat(stack.fd(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) < 0) {
    return fail_errno("stat \"" + stack.path(name) + "\"");
  }
  return info;
}

Result<DirStack> open_tree(const std::string& path) {
  Fd fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return fail_errno("open directory \"" + path + "\"");
  return DirStack::open(std::move(fd), path);
}

// Walks the right tree, and the left one in step where both have a directory.
class Walk {
 public:
  Walk(const DiffOptions& options, std::optional<DirStack> left, DirStack right,
       ChangeWriter& changes, const Cancel& cancel)
      : options_(options),
        left_(std::move(left)),
        right_(std::move(right)),
        changes_(changes),
        cancel_(cancel) {}

  Result<> run() {
    if (options_.overlay) DAVIT_TRY(check_marks(right_.fd(), "", true));
    DAVIT_TRY(open_level(left_.has_value()));
    while (!levels_.empty()) {
      DAVIT_TRY(cancel_.check());
      Level& level = levels_.back();
      if (level.left.empty() && level.right.empty()) {
        DAVIT_TRY(close_level());
        continue;
      }
      bool in_left =
          !level.left.empty() && (level.right.empty() || level.left.back() <= level.right.back());
      bool in_right =
          !level.right.empty() && (level.left.empty() || level.right.back() <= level.left.back());
      std::string name = in_left ? level.left.back() : level.right.back();
      if (in_left) level.left.pop_back();
      if (in_right) level.right.pop_back();
      DAVIT_TRY(in_right ? present(name, in_left) : changes_.deleted(right_.path_in_root(name)));
    }
    return {};
  }

 private:
  struct Level {
    std::vector<std::string> left;  // what is still to come, in descending order
    std::vector<std::string> right;
    bool both = false;  // the left tree has this directory too
  };

  Result<> open_level(bool both) {
    Level level;
    level.both = both;
    DAVIT_ASSIGN(level.right, sorted_names(right_));
    if (both) {
      DAVIT_ASSIGN(level.left, sorted_names(*left_));
    }
    std::reverse(level.left.begin(), level.left.end());
    std::reverse(level.right.begin(), level.right.end());
    levels_.push_back(std::move(level));
    return {};
  }

  Result<> close_level() {
    bool both = levels_.back().both;
    levels_.pop_back();
    if (levels_.empty()) return {};
    if (both) DAVIT_TRY(left_->leave());
    return right_.leave();
  }

  Result<> present(const std::string& name, bool in_left) {
    std::string path = right_.path_in_root(name);
    Result<struct stat> found = stat_in(right_, name);
    if (!found && found.error().code == ENOENT) return {};  // vanished from a tree in use
    DAVIT_ASSIGN(struct stat info, std::move(found));
    bool directory = S_ISDIR(info.st_mode);
    if (options_.overlay && is_whiteout(info)) return changes_.deleted(path);

    bool same = false;
    bool both = false;
    if (in_left) {
      DAVIT_ASSIGN(struct stat before, stat_in(*left_, name));
      DAVIT_ASSIGN(same, same_file(name, {left_->fd(), before}, {right_.fd(), info}, cancel_));
      both = directory && S_ISDIR(before.st_mode);
    }
    if (options_.overlay && S_ISREG(info.st_mode)) {
      DAVIT_TRY(check_marks_of_file(name));
    }
    DAVIT_TRY(same ? changes_.unchanged(path, right_.fd(), name, info)
                   : changes_.changed(path, right_.fd(), name, info));
    if (!directory) return {};

    DAVIT_TRY(right_.enter(name));
    if (both) DAVIT_TRY(left_->enter(name));
    if (options_.overlay) DAVIT_TRY(check_marks(right_.fd(), path, false));
    return open_level(both);
  }

  Result<> check_marks_of_file(const std::string& name) {
    Fd fd(openat(right_.fd(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    if (!fd) return fail_errno("open \"" + right_.path(name) + "\"");
    std::string key = std::string(options_.marks.prefix()) + "metacopy";
    if (getxattr(proc_path(fd.get()).c_str(), key.c_str(), nullptr, 0) < 0) return {};
    return fail(ENOTSUP, "\"" + right_.path(name) + "\" has its content in a lower layer");
  }

  Result<> check_marks(int fd, const std::string& path, bool root) {
    std::string redirect = std::string(options_.marks.prefix()) + "redirect";
    if (!root && fgetxattr(fd, redirect.c_str(), nullptr, 0) >= 0) {
      return fail(ENOTSUP, "\"" + right_.path("") + "\" was moved from elsewhere");
    }
    return is_opaque(fd, options_.marks) ? changes_.opaque(path) : Result<>();
  }

  const DiffOptions& options_;
  std::optional<DirStack> left_;
  DirStack right_;
  ChangeWriter& changes_;
  const Cancel& cancel_;
  std::vector<Level> levels_;
};

}  // namespace

Result<BlobSummary> diff(Fd out, Compression compression, const DiffOptions& options,
                         const Cancel& cancel) {
  std::optional<DirStack> left;
  if (!options.left.empty() && !options.overlay) {
    DAVIT_ASSIGN(left, open_tree(options.left));
  }
  DAVIT_ASSIGN(DirStack right, open_tree(options.right));
  Fd root(fcntl(right.fd(), F_DUPFD_CLOEXEC, 0));
  if (!root) return fail_errno("duplicate descriptor");

  DAVIT_ASSIGN(std::unique_ptr<BlobWriter> blob,
               BlobWriter::start(std::move(out), compression, cancel));
  TarWriter tar(*blob);
  ChangeWriter changes(tar, root.get(), {options.uids, options.gids, options.epoch}, cancel);
  Walk walk(options, std::move(left), std::move(right), changes, cancel);
  DAVIT_TRY(walk.run());
  DAVIT_TRY(tar.end());
  return blob->finish();
}

}  // namespace davit::layer
