// Scratch: a directory for one test, and what is in it as text that can be compared.
#pragma once

#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <map>
#include <string>
#include <vector>

#include "native/kernel/fd.h"

namespace davit::layer::testing {

// A directory on a tmpfs of its own (so that it can hold an overlay's upper layer, trusted
// attributes and no garbage afterwards). Needs root.
class Scratch {
 public:
  Scratch() {
    char pattern[] = "/tmp/davit-layer-XXXXXX";
    path_ = mkdtemp(pattern);
    ready_ = ::mount("tmpfs", path_.c_str(), "tmpfs", 0, "size=256m,mode=0755") == 0;
  }
  ~Scratch() {
    umount2(path_.c_str(), MNT_DETACH);
    rmdir(path_.c_str());
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  bool ready() const { return ready_; }
  // A fresh directory in it.
  std::string dir(const std::string& name) const {
    std::string path = path_ + "/" + name;
    mkdir(path.c_str(), 0755);
    return path;
  }

 private:
  std::string path_;
  bool ready_ = false;
};

inline Fd memory_file(const std::string& content) {
  Fd fd(memfd_create("blob", MFD_CLOEXEC));
  for (size_t done = 0; done < content.size();) {
    ssize_t put = write(fd.get(), content.data() + done, content.size() - done);
    if (put <= 0) break;
    done += static_cast<size_t>(put);
  }
  return fd;
}

inline std::string read_file(const std::string& path) {
  Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  std::string content;
  char part[4096];
  for (ssize_t got; fd && (got = read(fd.get(), part, sizeof part)) > 0;)
    content.append(part, static_cast<size_t>(got));
  return content;
}

inline void write_file(const std::string& path, const std::string& content, mode_t mode = 0644) {
  Fd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (write(fd.get(), content.data(), content.size()) < 0) abort();
  fchmod(fd.get(), mode);
  timespec times[2] = {{500, 0}, {500, 0}};
  futimens(fd.get(), times);
}

// Every path below `root` with type, mode, owner, link count of files, times, target, content and
// attributes. Directories' times are left out unless `directory_times`.
inline std::map<std::string, std::string> listing(const std::string& root,
                                                  bool directory_times = false) {
  static thread_local std::map<std::string, std::string>* result;
  static thread_local std::string base;
  static thread_local bool with_times;
  std::map<std::string, std::string> found;
  result = &found;
  base = root;
  with_times = directory_times;
  nftw(
      root.c_str(),
      [](const char* path, const struct stat* info, int, FTW*) {
        bool directory = S_ISDIR(info->st_mode);
        std::string text;
        char line[256];
        std::snprintf(line, sizeof line, "%o %u:%u", info->st_mode, info->st_uid, info->st_gid);
        text = line;
        if (!directory) text += " links=" + std::to_string(info->st_nlink);
        if (S_ISCHR(info->st_mode) || S_ISBLK(info->st_mode)) {
          text += " dev=" + std::to_string(major(info->st_rdev)) + ":" +
                  std::to_string(minor(info->st_rdev));
        }
        if (!directory || with_times) {
          std::snprintf(line, sizeof line, " mtime=%ld.%09ld", info->st_mtim.tv_sec,
                        info->st_mtim.tv_nsec);
          text += line;
        }
        if (S_ISLNK(info->st_mode)) {
          char target[4096] = {};
          if (readlink(path, target, sizeof target - 1) > 0) text += std::string(" -> ") + target;
        }
        if (S_ISREG(info->st_mode)) text += " \"" + read_file(path).substr(0, 100) + "\"";
        char names[4096];
        ssize_t size = llistxattr(path, names, sizeof names);
        std::map<std::string, std::string> xattrs;
        for (ssize_t at = 0; at < size;) {
          std::string key = names + at;
          at += static_cast<ssize_t>(key.size()) + 1;
          char value[4096];
          ssize_t length = lgetxattr(path, key.c_str(), value, sizeof value);
          xattrs[key] = std::string(value, length < 0 ? 0 : static_cast<size_t>(length));
        }
        for (const auto& [key, value] : xattrs) text += " " + key + "=" + value;
        (*result)[std::string(path).substr(base.size())] = text;
        return 0;
      },
      32, FTW_PHYS);
  return found;
}

}  // namespace davit::layer::testing
