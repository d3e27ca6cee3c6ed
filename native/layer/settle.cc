#include <dirent.h>
#include <fcntl.h>
#include <sys/xattr.h>

#include <cstring>

#include "native/layer/apply.h"
#include "native/layer/dir_stack.h"

namespace davit::layer {
namespace {

// Descriptors are held for every layer on the way down.
constexpr size_t kMaxDepth = 64;

Fd open_directory(int parent, const std::string& name) {
  return Fd(openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
}

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

// What `lowers` have under `name`, as overlayfs merges it: directories until something hides the
// rest.
Result<std::vector<Fd>> merged(const std::vector<Fd>& lowers, const std::string& name,
                               OverlayMarks marks) {
  std::vector<Fd> found;
  for (const Fd& lower : lowers) {
    Fd fd = open_directory(lower.get(), name);
    if (!fd && errno == ENOENT) continue;
    if (!fd && (errno == ENOTDIR || errno == ELOOP)) break;
    if (!fd) return fail_errno("open lower directory \"" + name + "\"");
    bool opaque = is_opaque(fd.get(), marks);
    found.push_back(std::move(fd));
    if (opaque) break;
  }
  return found;
}

Result<bool> settle_below(int upper, const std::vector<Fd>& lowers, size_t depth,
                          OverlayMarks marks, const Cancel& cancel) {
  if (depth > kMaxDepth) return false;
  DAVIT_ASSIGN(std::vector<DirEntry> entries, list_directory(upper));
  for (const DirEntry& entry : entries) {
    DAVIT_TRY(cancel.check());
    if (entry.type != DT_DIR && entry.type != DT_UNKNOWN) continue;
    Fd child = open_directory(upper, entry.name);
    if (!child && entry.type == DT_UNKNOWN) continue;
    if (!child) return fail_errno("open directory \"" + entry.name + "\"");
    if (is_opaque(child.get(), marks)) continue;
    DAVIT_ASSIGN(std::vector<Fd> below, merged(lowers, entry.name, marks));
    if (below.empty()) continue;
    DAVIT_ASSIGN(bool same, inherit_xattrs(below.front().get(), child.get()));
    if (!same) return false;
    DAVIT_ASSIGN(bool fits, settle_below(child.get(), below, depth + 1, marks, cancel));
    if (!fits) return false;
  }
  return true;
}

}  // namespace

Result<bool> settle(const std::string& root, const std::vector<std::string>& lowers,
                    OverlayMarks marks, const Cancel& cancel) {
  Fd upper = open_directory(AT_FDCWD, root);
  if (!upper) return fail_errno("open directory \"" + root + "\"");
  std::vector<Fd> below;
  for (const std::string& path : lowers) {
    Fd fd = open_directory(AT_FDCWD, path);
    if (!fd) return fail_errno("open directory \"" + path + "\"");
    below.push_back(std::move(fd));
  }
  return settle_below(upper.get(), below, 0, marks, cancel);
}

}  // namespace davit::layer
