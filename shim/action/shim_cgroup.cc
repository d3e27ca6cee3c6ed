#include "shim/action/shim_cgroup.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <string_view>

#include "native/kernel/fd.h"

namespace davit::shim {

namespace {

constexpr char kRoot[] = "/sys/fs/cgroup";

bool join(const std::string& cgroup) {
  Fd procs(::open((cgroup + "/cgroup.procs").c_str(), O_WRONLY | O_CLOEXEC));
  return procs && ::write(procs.get(), "0", 1) == 1;
}

}  // namespace

void join_shim_cgroup(const std::string& path) {
  if (::access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0) {
    join(std::string(kRoot) + "/" + path);
    return;
  }
  DIR* root = ::opendir(kRoot);
  if (root == nullptr) return;
  while (const dirent* entry = ::readdir(root)) {
    if (std::string_view(entry->d_name).starts_with('.')) continue;
    join(std::string(kRoot) + "/" + entry->d_name + "/" + path);
  }
  ::closedir(root);
}

}  // namespace davit::shim
