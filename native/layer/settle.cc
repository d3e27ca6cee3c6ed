#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cstring>

#include "native/layer/apply.h"
#include "native/layer/deferred.h"
#include "native/layer/dir_stack.h"
#include "native/layer/lower_dirs.h"

namespace davit::layer {
namespace {

// Descriptors are held for every layer on the way down.
constexpr size_t kMaxDepth = 64;

// Whether `to` now has the attributes of `from` that it did not have; a default ACL would have been
// inherited by every file in it.
Result<bool> inherit_xattrs(int from, int to) {
  char names[4096];
  ssize_t size = flistxattr(from, names, sizeof names);
  if (size < 0 && errno == ENOTSUP) return true;
  if (size < 0 && errno == ERANGE) return false;
  if (size < 0) return fail_errno("list extended attributes");
  for (const char* name = names; name < names + size; name += std::strlen(name) + 1) {
    std::string_view key = name;
    if (key.starts_with("trusted.overlay.") || key.starts_with("user.overlay.")) continue;
    if (key == "system.posix_acl_default") return false;
    char value[4096];
    ssize_t length = fgetxattr(from, name, value, sizeof value);
    if (length < 0) return false;
    if (fsetxattr(to, name, value, static_cast<size_t>(length), XATTR_CREATE) < 0 &&
        errno != EEXIST) {
      return fail_errno("set extended attribute \"" + std::string(key) + "\"");
    }
  }
  return true;
}

// `directory`, which an entry needed, gets all of what the one below it, `from`, looks like. Its
// times come last. False: what is in it would have inherited a default ACL.
Result<bool> take_over(int from, const struct stat& below, int directory) {
  if (fgetxattr(from, "system.posix_acl_default", nullptr, 0) >= 0) return false;
  DAVIT_TRY(copy_ownership(from, below, directory));
  return true;
}

class Settler {
 public:
  Settler(const Deferred& deferred, OverlayMarks marks, const Cancel& cancel)
      : deferred_(deferred), marks_(marks), cancel_(cancel) {}

  Result<bool> root(int upper, const std::vector<Fd>& lowers) {
    DAVIT_ASSIGN(bool fits, below(upper, lowers, "", nullptr, 0));
    // One that was not come by has nothing below it.
    for (const auto& [path, directory] : deferred_.directories()) {
      if (directory.whited_out) whited_out_--;
    }
    return fits && whited_out_ == 0;
  }

 private:
  // The directory that an entry needed has the group of its own entries to pass on: what lies below
  // it has the setgid bit.
  struct Group {
    gid_t id;
    bool certain;  // an entry that came later may have changed that, for some of them
  };

  const Deferred::Directory* find(std::string_view path) const {
    auto at = deferred_.directories().find(path);
    return at == deferred_.directories().end() ? nullptr : &at->second;
  }

  // The entries of the directory `path`.
  Result<bool> below(int upper, const std::vector<Fd>& lowers, const std::string& path,
                     const Group* group, size_t depth) {
    if (depth > kMaxDepth) return false;
    DAVIT_ASSIGN(std::vector<DirEntry> entries, list_directory(upper));
    for (const DirEntry& entry : entries) {
      DAVIT_TRY(cancel_.check());
      if (entry.type != DT_DIR && entry.type != DT_UNKNOWN) continue;
      Fd child = open_directory(upper, entry.name);
      if (!child && entry.type == DT_UNKNOWN) continue;
      if (!child) return fail_errno("open directory \"" + entry.name + "\"");
      std::string name = path.empty() ? entry.name : path + "/" + entry.name;
      DAVIT_ASSIGN(bool fits, directory(child.get(), lowers, name, entry.name, group, depth));
      if (!fits) return false;
    }
    return true;
  }

  Result<bool> directory(int upper, const std::vector<Fd>& lowers, const std::string& path,
                         const std::string& name, const Group* group, size_t depth) {
    const Deferred::Directory* record = find(path);
    bool opaque = is_opaque(upper, marks_);
    // It took the place of something, and nothing from below; but perhaps a group.
    if (opaque && record == nullptr) return group == nullptr;
    std::vector<Fd> merged;
    DAVIT_ASSIGN(Presence found, open_lower_dirs(lowers, name, marks_, &merged));
    bool implied = record != nullptr && record->implied;
    if (implied && found != Presence::kDirectory && found != Presence::kAbsent) return false;
    bool like_below = implied && !record->described;
    if (merged.empty()) return like_below && group != nullptr ? pass_on(*group, upper) : true;
    if (record != nullptr && record->filled) return false;
    if (record != nullptr && record->whited_out) whited_out_++;

    int from = merged.front().get();
    struct stat info;
    if (fstat(from, &info) < 0) return fail_errno("stat lower directory");
    DAVIT_ASSIGN(bool same,
                 like_below ? take_over(from, info, upper) : inherit_xattrs(from, upper));
    if (!same) return false;
    Group passed{.id = info.st_gid, .certain = like_below};
    bool passes = implied && (info.st_mode & S_ISGID) != 0;
    if (opaque) {
      if (passes) return false;
    } else {
      DAVIT_ASSIGN(bool fits, below(upper, merged, path, passes ? &passed : nullptr, depth + 1));
      if (!fits) return false;
    }
    timespec times[2] = {info.st_atim, info.st_mtim};
    if (like_below && futimens(upper, times) < 0) return fail_errno("set times");
    return true;
  }

  // A directory that nothing below has, made for an entry, belongs to the group of the one it is
  // in.
  static Result<bool> pass_on(const Group& group, int directory) {
    if (!group.certain) return false;
    if (fchown(directory, static_cast<uid_t>(-1), group.id) < 0) return fail_errno("set group");
    return true;
  }

  const Deferred& deferred_;
  OverlayMarks marks_;
  const Cancel& cancel_;
  int64_t whited_out_ = 0;
};

}  // namespace

Result<bool> settle(const std::string& root, const std::vector<std::string>& lowers,
                    const std::string& deferred, OverlayMarks marks, const Cancel& cancel) {
  std::optional<Deferred> decoded = Deferred::decode(deferred);
  if (!decoded) return fail(EINVAL, "what applying a layer has deferred");
  Fd upper = open_directory(AT_FDCWD, root);
  if (!upper) return fail_errno("open directory \"" + root + "\"");
  std::vector<Fd> below;
  for (const std::string& path : lowers) {
    Fd fd = open_directory(AT_FDCWD, path);
    if (!fd) return fail_errno("open directory \"" + path + "\"");
    below.push_back(std::move(fd));
  }
  return Settler(*decoded, marks, cancel).root(upper.get(), below);
}

}  // namespace davit::layer
