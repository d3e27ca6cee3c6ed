#include "native/kernel/overlay_probe.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <memory>

#include "native/kernel/fd.h"

namespace davit {
namespace {

constexpr const char* kFolders[] = {"lower1", "lower2", "upper", "work", "merged"};

// Overlayfs needs to know from a listing which entries are whiteouts.
bool lists_types(const std::string& directory) {
  std::unique_ptr<DIR, int (*)(DIR*)> dir(opendir(directory.c_str()), closedir);
  if (!dir) return false;
  while (const dirent* entry = readdir(dir.get())) {
    if (strcmp(entry->d_name, "lower1") == 0) return entry->d_type == DT_DIR;
  }
  return false;
}

bool mounts(const std::string& base, const char* extra) {
  std::string data = "lowerdir=" + base + "/lower2:" + base + "/lower1,upperdir=" + base +
                     "/upper,workdir=" + base + "/work" + extra;
  std::string target = base + "/merged";
  if (mount("overlay", target.c_str(), "overlay", 0, data.c_str()) < 0) return false;
  umount2(target.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW);
  return true;
}

void remove_folders(const std::string& base) {
  rmdir((base + "/work/work").c_str());
  for (const char* name : kFolders) rmdir((base + "/" + name).c_str());
  rmdir(base.c_str());
}

}  // namespace

Result<OverlaySupport> probe_overlay(const std::string& directory) {
  std::string base = directory + "/overlay-probe-XXXXXX";
  if (mkdtemp(base.data()) == nullptr)
    return fail_errno("create directory in \"" + directory + "\"");
  for (const char* name : kFolders) {
    if (mkdir((base + "/" + name).c_str(), 0700) < 0) {
      auto failed = fail_errno("create directory in \"" + base + "\"");
      remove_folders(base);
      return failed;
    }
  }
  OverlaySupport support;
  if (!lists_types(base)) {
    support.reason = "the file system does not list file types (d_type)";
  } else if (mounts(base, "")) {
    support.supported = true;
  } else {
    int code = errno;
    support.supported = support.user_xattr = mounts(base, ",userxattr");
    if (!support.supported) support.reason = std::string("mount overlay: ") + strerror(code);
  }
  remove_folders(base);
  return support;
}

}  // namespace davit
