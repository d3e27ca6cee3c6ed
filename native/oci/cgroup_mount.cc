// The cgroup file system in the container: v1 as a tmpfs with one mount per hierarchy, v2 as
// itself.
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "native/kernel/in_root.h"
#include "native/oci/mount_options.h"
#include "native/oci/rootfs.h"

namespace davit::oci {
namespace {

// The container's own part of a hierarchy; with a cgroup namespace of its own it is that root.
Result<Fd> hierarchy_tree(const std::string& controllers, const std::string& path, bool namespaced,
                          bool v2) {
  if (!namespaced) return kernel::clone_tree(AT_FDCWD, path.c_str(), false);
  constexpr auto kAttributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
  if (v2) return kernel::make_filesystem("cgroup2", {{"source", "cgroup2"}}, kAttributes);
  std::vector<kernel::FsOption> data{{"source", "cgroup"}};
  if (controllers.starts_with("name=")) {
    data.emplace_back("none", "");
    data.emplace_back("name", controllers.substr(5));
  } else {
    for (std::size_t at = 0; at <= controllers.size();) {
      std::size_t comma = controllers.find(',', at);
      if (comma == std::string::npos) comma = controllers.size();
      data.emplace_back(controllers.substr(at, comma - at), "");
      at = comma + 1;
    }
  }
  return kernel::make_filesystem("cgroup", data, kAttributes);
}

}  // namespace

Result<> Rootfs::mount_cgroup(const Mount& one, const Spec& spec, const Cgroup& cgroup) {
  DAVIT_ASSIGN(MountOptions options, parse_mount_options(one.options));
  DAVIT_ASSIGN(Fd at, destination(one.destination, "cgroup", true));
  bool namespaced = spec.new_namespace(CLONE_NEWCGROUP);
  auto finish = [&](int tree) -> Result<> {
    kernel::MountAttributes attributes = options.attributes;
    if (!attributes.empty()) DAVIT_TRY(kernel::set_attributes(tree, attributes, false));
    return {};
  };
  if (cgroup.unified() || one.type == "cgroup2") {
    const std::string& path = cgroup.path_of("");
    if (path.empty()) return fail(ENODEV, "cgroup v2 is not mounted on this machine");
    auto tree = hierarchy_tree("", path, namespaced, true);
    // A user namespace may not mount it anew where the host has hidden a part of it.
    if (!tree) tree = hierarchy_tree("", path, false, true);
    if (!tree) return std::unexpected(tree.error());
    DAVIT_TRY(finish(tree->get()));
    return kernel::attach(tree->get(), at.get());
  }
  constexpr auto kTmpfs = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
  DAVIT_ASSIGN(Fd base,
               kernel::make_filesystem("tmpfs", {{"source", "tmpfs"}, {"mode", "755"}}, kTmpfs));
  DAVIT_TRY(kernel::attach(base.get(), at.get()));
  DAVIT_ASSIGN(Fd folder, kernel::open_in_root(root_.get(), one.destination, O_PATH | O_DIRECTORY));
  for (const std::string& text : cgroup.paths()) {
    std::size_t slash = text.find("=/");
    std::string controllers = text.substr(0, slash), path = text.substr(slash + 1);
    if (controllers.empty()) continue;
    std::string name = controllers.starts_with("name=") ? controllers.substr(5) : controllers;
    if (::mkdirat(folder.get(), name.c_str(), 0755) != 0)
      return fail_errno("mkdir \"" + name + '"');
    Fd place(::openat(folder.get(), name.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!place) return fail_errno("open \"" + name + '"');
    DAVIT_ASSIGN(Fd tree, hierarchy_tree(controllers, path, namespaced, false));
    DAVIT_TRY(finish(tree.get()));
    DAVIT_TRY(kernel::attach(tree.get(), place.get()));
    // "cpu,cpuacct" is also found as "cpu" and as "cpuacct".
    for (std::size_t from = 0; name.find(',') != std::string::npos && from <= name.size();) {
      std::size_t comma = std::min(name.find(',', from), name.size());
      (void)::symlinkat(name.c_str(), folder.get(), name.substr(from, comma - from).c_str());
      from = comma + 1;
    }
  }
  return finish(folder.get());
}

}  // namespace davit::oci
