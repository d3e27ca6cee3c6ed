// Where the cgroup file systems of this machine are, and where this process is in them.
//
// Controllers are looked for at /sys/fs/cgroup, where every distribution mounts them: reading
// mountinfo, which grows with every container, would make each start slower than the one before.
#pragma once

#include <string>
#include <vector>

#include "native/kernel/result.h"

namespace davit::oci {

struct Hierarchy {
  std::string controllers;  // "cpu,cpuacct", "name=systemd", "" for v2
  std::string mount;        // "/sys/fs/cgroup/memory"
  std::string own_path;     // this process's cgroup in it: "/", "/a/b"
  bool v2 = false;

  bool has(std::string_view controller) const;
};

struct Hierarchies {
  std::vector<Hierarchy> all;
  // Only v2: limits are set there. A hybrid has v1 controllers, and a v2 tree without.
  bool unified = false;
};

// `self_cgroup` is the text of /proc/self/cgroup (cgroups(7)). ENOENT when nothing is mounted.
Result<Hierarchies> find_hierarchies(const std::string& root, std::string_view self_cgroup);

// For this process, on this machine.
Result<Hierarchies> find_hierarchies();

// A unit of systemd's in a slice, as `slice:prefix:name` names it.
struct UnitName {
  std::string slice, unit;  // "a-b.slice", "prefix-name.scope"
};

// EINVAL for a cgroupsPath of another form. No slice: system.slice.
Result<UnitName> unit_name(std::string_view cgroups_path);

// The cgroup that linux.cgroupsPath means, below each hierarchy's mount: `/a/b` as it is; a
// relative path below `own_path`; systemd's `slice:prefix:name` as that driver would place it;
// empty: `id`. EINVAL for a path that leaves the hierarchy.
Result<std::string> cgroup_path(std::string_view cgroups_path, const std::string& own_path,
                                std::string_view id);

}  // namespace davit::oci
