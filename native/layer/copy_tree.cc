#include "native/layer/copy_tree.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <map>
#include <vector>

#include "native/layer/dir_stack.h"
#include "native/layer/metadata.h"

namespace davit::layer {
namespace {

class Copier {
 public:
  Copier(DirStack from, DirStack to, const Cancel& cancel)
      : from_(std::move(from)), to_(std::move(to)), cancel_(cancel) {}

  Result<> run() {
    root_ = Fd(fcntl(to_.fd(), F_DUPFD_CLOEXEC, 0));
    if (!root_) return fail_errno("duplicate descriptor");
    DAVIT_TRY(copy_here());
    for (;;) {
      if (!pending_.back().empty()) {
        std::string name = std::move(pending_.back().back());
        pending_.back().pop_back();
        DAVIT_TRY(from_.enter(name));
        if (mkdirat(to_.fd(), name.c_str(), 0700) < 0) {
          return fail_errno("create \"" + to_.path(name) + "\"");
        }
        DAVIT_TRY(to_.enter(name));
        DAVIT_TRY(copy_here());
        continue;
      }
      DAVIT_TRY(finish_here());
      pending_.pop_back();
      if (pending_.empty()) return {};
      DAVIT_TRY(from_.leave());
      DAVIT_TRY(to_.leave());
    }
  }

 private:
  // Copies what is not a directory and notes the directories.
  Result<> copy_here() {
    std::vector<std::string> directories;
    DAVIT_ASSIGN(std::vector<DirEntry> entries, from_.list());
    for (DirEntry& entry : entries) {
      DAVIT_TRY(cancel_.check());
      struct stat info;
      if (fstatat(from_.fd(), entry.name.c_str(), &info, AT_SYMLINK_NOFOLLOW) < 0) {
        return fail_errno("stat \"" + from_.path(entry.name) + "\"");
      }
      if (S_ISDIR(info.st_mode)) {
        directories.push_back(std::move(entry.name));
      } else if (!S_ISSOCK(info.st_mode)) {
        if (Result<> copied = copy_one(entry.name, info); !copied) {
          return wrap("copy \"" + from_.path(entry.name) + "\"", std::move(copied).error());
        }
      }
    }
    pending_.push_back(std::move(directories));
    return {};
  }

  Result<> copy_one(const std::string& name, const struct stat& info) {
    if (info.st_nlink > 1) {
      auto [it, first] = links_.try_emplace({info.st_dev, info.st_ino}, to_.path_in_root(name));
      if (!first) {
        if (linkat(root_.get(), it->second.c_str(), to_.fd(), name.c_str(), 0) < 0) {
          return fail_errno("link to \"" + it->second + "\"");
        }
        return {};
      }
    }
    return copy_file(from_.fd(), to_.fd(), name);
  }

  // After the content of a directory, which changes its times.
  Result<> finish_here() {
    struct stat info;
    if (fstat(from_.fd(), &info) < 0) return fail_errno("stat \"" + from_.path("") + "\"");
    if (Result<> owned = copy_ownership(from_.fd(), info, to_.fd()); !owned) {
      return wrap("copy \"" + from_.path("") + "\"", std::move(owned).error());
    }
    timespec times[2] = {info.st_atim, info.st_mtim};
    if (futimens(to_.fd(), times) < 0) return fail_errno("set times of \"" + to_.path("") + "\"");
    return {};
  }

  DirStack from_;
  DirStack to_;
  const Cancel& cancel_;
  Fd root_;
  std::vector<std::vector<std::string>> pending_;
  std::map<std::pair<dev_t, ino_t>, std::string> links_;  // first name of each linked file
};

Result<DirStack> open_stack(const std::string& path) {
  Fd fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return fail_errno("open directory \"" + path + "\"");
  return DirStack::open(std::move(fd), path);
}

}  // namespace

Result<> copy_tree(const std::string& from, const std::string& to, const Cancel& cancel) {
  DAVIT_ASSIGN(DirStack source, open_stack(from));
  DAVIT_ASSIGN(DirStack copy, open_stack(to));
  return Copier(std::move(source), std::move(copy), cancel).run();
}

}  // namespace davit::layer
