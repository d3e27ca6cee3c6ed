#include "native/oci/cgroup/hierarchy.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "native/kernel/file.h"

namespace davit::oci {
namespace {

constexpr char kRoot[] = "/sys/fs/cgroup";

bool is_directory(const std::string& path) {
  struct stat st;
  return ::stat(path.c_str(), &st) == 0 && S_ISDIR(st.st_mode);
}

bool is_filesystem(const std::string& path, long magic) {
  struct statfs fs;
  return ::statfs(path.c_str(), &fs) == 0 && fs.f_type == magic;
}

// The folder of a v1 hierarchy: named after its controllers, or after one of them.
std::string v1_mount(const std::string& root, std::string_view controllers) {
  std::string_view name = controllers;
  if (name.starts_with("name=")) name.remove_prefix(5);
  std::string whole = root + "/" + std::string(name);
  if (is_directory(whole)) return whole;
  while (!name.empty()) {
    std::string one = root + "/" + std::string(name.substr(0, name.find(',')));
    if (is_directory(one)) return one;
    std::size_t comma = name.find(',');
    name = comma == std::string_view::npos ? std::string_view() : name.substr(comma + 1);
  }
  return "";
}

}  // namespace

bool Hierarchy::has(std::string_view controller) const {
  std::string_view rest = controllers;
  while (!rest.empty()) {
    std::size_t comma = rest.find(',');
    if (rest.substr(0, comma) == controller) return true;
    if (comma == std::string_view::npos) return false;
    rest.remove_prefix(comma + 1);
  }
  return false;
}

Result<Hierarchies> find_hierarchies(const std::string& root, std::string_view self_cgroup) {
  Hierarchies found;
  bool has_v1 = false;
  while (!self_cgroup.empty()) {
    std::size_t end = self_cgroup.find('\n');
    std::string_view line = self_cgroup.substr(0, end);
    self_cgroup.remove_prefix(end == std::string_view::npos ? self_cgroup.size() : end + 1);
    std::size_t first = line.find(':');
    std::size_t second =
        first == std::string_view::npos ? std::string_view::npos : line.find(':', first + 1);
    if (second == std::string_view::npos) continue;
    Hierarchy one;
    one.controllers = line.substr(first + 1, second - first - 1);
    one.own_path = line.substr(second + 1);
    one.v2 = one.controllers.empty();
    one.mount = one.v2 ? (is_directory(root + "/unified") ? root + "/unified" : root)
                       : v1_mount(root, one.controllers);
    if (one.mount.empty()) continue;
    if (one.v2 && root == kRoot && !is_filesystem(one.mount, CGROUP2_SUPER_MAGIC)) continue;
    has_v1 |= !one.v2 && !one.controllers.starts_with("name=");
    found.all.push_back(std::move(one));
  }
  if (found.all.empty()) return fail(ENOENT, "no cgroup file system is mounted at " + root);
  found.unified = !has_v1;
  return found;
}

Result<Hierarchies> find_hierarchies() {
  DAVIT_ASSIGN(std::string self, kernel::read_file(AT_FDCWD, "/proc/self/cgroup"));
  return find_hierarchies(kRoot, self);
}

namespace {

// "a-b.slice" lies in "a.slice", and all of them in "-.slice": systemd.slice(5).
std::string expand_slice(std::string_view slice) {
  std::string_view name = slice.substr(0, slice.size() - 6);
  if (name == "-") return "";
  std::string path;
  for (std::size_t dash = name.find('-'); dash != std::string_view::npos;
       dash = name.find('-', dash + 1))
    path += "/" + std::string(name.substr(0, dash)) + ".slice";
  return path + "/" + std::string(slice);
}

std::string join(std::string_view a, std::string_view b) {
  std::string path(a);
  while (path.ends_with('/')) path.pop_back();
  while (b.starts_with('/')) b.remove_prefix(1);
  return path + "/" + std::string(b);
}

}  // namespace

Result<UnitName> unit_name(std::string_view wanted) {
  std::size_t first = wanted.find(':');
  std::size_t second = first == std::string_view::npos ? first : wanted.find(':', first + 1);
  if (second == std::string_view::npos || wanted.find(':', second + 1) != std::string_view::npos)
    return fail(EINVAL, "linux.cgroupsPath: \"" + std::string(wanted) +
                            "\" is not of the form slice:prefix:name");
  UnitName name{std::string(wanted.substr(0, first)), std::string(wanted.substr(second + 1))};
  std::string prefix(wanted.substr(first + 1, second - first - 1));
  if (name.slice.empty()) name.slice = "system.slice";
  std::string_view slice = name.slice;
  if (slice != "-.slice" && (!slice.ends_with(".slice") || slice.size() == 6 ||
                             slice.front() == '-' || slice.find("-.slice") != slice.npos ||
                             slice.find("--") != slice.npos || slice.find('/') != slice.npos))
    return fail(EINVAL, "linux.cgroupsPath: \"" + name.slice + "\" is not the name of a slice");
  if (!name.unit.ends_with(".slice"))
    name.unit = (prefix.empty() ? "" : prefix + "-") + name.unit + ".scope";
  return name;
}

Result<std::string> cgroup_path(std::string_view wanted, const std::string& own_path,
                                std::string_view id) {
  std::string path;
  if (wanted.empty()) {
    path = join(own_path, id);
  } else if (wanted.find(':') != std::string_view::npos &&
             wanted.find('/') == std::string_view::npos) {
    DAVIT_ASSIGN(UnitName name, unit_name(wanted));
    path = expand_slice(name.slice) + "/" + name.unit;
  } else if (wanted.starts_with('/')) {
    path = wanted;
  } else {
    path = join(own_path, wanted);
  }
  if ((path + "/").find("/../") != std::string::npos)
    return fail(EINVAL,
                "linux.cgroupsPath: \"" + std::string(wanted) + "\" must not contain \"..\"");
  // All of the machine would be this container's, to be killed with it.
  if (path.find_first_not_of("/.") == std::string::npos)
    return fail(EINVAL, "linux.cgroupsPath: must not be the root of the hierarchy");
  return path;
}

}  // namespace davit::oci
