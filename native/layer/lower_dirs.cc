#include "native/layer/lower_dirs.h"

#include <fcntl.h>
#include <sys/stat.h>

namespace davit::layer {

Fd open_directory(int parent, const std::string& name) {
  return Fd(openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
}

Result<Presence> open_lower_dirs(const std::vector<Fd>& lowers, const std::string& name,
                                 OverlayMarks marks, std::vector<Fd>* opened) {
  Presence found = Presence::kAbsent;
  for (const Fd& lower : lowers) {
    Fd fd = open_directory(lower.get(), name);
    if (!fd && errno == ENOENT) continue;
    if (!fd && errno != ENOTDIR && errno != ELOOP) return fail_errno("open lower directory");
    if (!fd) {  // not a directory: it hides what is further down
      struct stat info;
      if (fstatat(lower.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) < 0) {
        return fail_errno("stat in lower directory");
      }
      if (found == Presence::kAbsent && !is_whiteout(info)) {
        found = S_ISLNK(info.st_mode) ? Presence::kSymlink : Presence::kOther;
      }
      return found;
    }
    found = Presence::kDirectory;
    bool opaque = is_opaque(fd.get(), marks);
    opened->push_back(std::move(fd));
    if (opaque) break;
  }
  return found;
}

}  // namespace davit::layer
