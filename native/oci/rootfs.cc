#include "native/oci/rootfs.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <map>

#include "native/kernel/file.h"
#include "native/kernel/idmap.h"
#include "native/kernel/in_root.h"
#include "native/kernel/mount.h"
#include "native/oci/identity.h"
#include "native/oci/mount_options.h"
#include "native/oci/mounts.h"

namespace davit::oci {
namespace {

bool is_bind(const Mount& mount) {
  if (mount.type == "bind") return true;
  for (const std::string& option : mount.options)
    if (option == "bind" || option == "rbind") return true;
  return false;
}

std::string below(const std::string& bundle, const std::string& path) {
  return path.starts_with('/') ? path : bundle + '/' + path;
}

Result<> make_host_slave() {
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0)
    return fail_errno("make \"/\" a slave");
  return {};
}

// Whether init may copy the mount itself, when its turn comes: then mountinfo, which newer kernels
// sort by age, has the order of the config. Not where init may not look, and not where the copy
// must stay a peer of the host's.
bool can_wait(const Mount& mount, const MountOptions& options, const Spec& spec,
              const Namespaces& namespaces) {
  bool own_mounts = (namespaces.fresh & CLONE_NEWNS) != 0;
  bool peer = (options.propagation & MS_SHARED) != 0 && !spec.rootfs_propagation.empty();
  return own_mounts && !namespaces.user && !options.map_ids && !peer && !mount.source.empty();
}

// The maps of mounts as user namespaces, each made once.
class MapSources {
 public:
  MapSources(const Spec& spec, int joined) : spec_(spec), joined_(joined) {}

  Result<> apply(const Mount& mount, const MountOptions& options, int tree) {
    DAVIT_ASSIGN(int userns, namespace_of(mount));
    return kernel::map_ids(tree, userns, options.map_ids_below);
  }

 private:
  // Without mappings of its own a mount has the container's.
  Result<int> namespace_of(const Mount& mount) {
    bool own = !mount.uid_mappings.empty();
    if (!own && joined_ >= 0) return joined_;
    kernel::IdMaps maps{map_text(own ? mount.uid_mappings : spec_.uid_mappings),
                        map_text(own ? mount.gid_mappings : spec_.gid_mappings)};
    if (maps.uids.empty())
      return fail(EINVAL, "mapping its ids needs mappings or a user namespace");
    auto& known = made_[maps.uids + '/' + maps.gids];
    if (!known) {
      DAVIT_ASSIGN(known, kernel::make_user_namespace(maps));
    }
    return known.get();
  }

  const Spec& spec_;
  int joined_;
  std::map<std::string, Fd> made_;
};

}  // namespace

Result<Sources> open_sources(const Spec& spec, const std::string& bundle,
                             const Namespaces& namespaces) {
  Sources sources;
  MapSources maps(spec, namespaces.fd_of(CLONE_NEWUSER));
  if (!spec.mount_label.empty() && !has_selinux())
    sources.warnings.push_back("linux.mountLabel \"" + spec.mount_label +
                               "\" is nothing without SELinux, which is not enabled here");
  std::string root = below(bundle, spec.root_path);
  auto tree = kernel::clone_tree(AT_FDCWD, root.c_str(), true);
  if (!tree) return wrap("rootfs", std::move(tree).error());
  sources.root = std::move(*tree);
  sources.mounts.resize(spec.mounts.size());
  for (std::size_t i = 0; i < spec.mounts.size(); ++i) {
    const Mount& mount = spec.mounts[i];
    if (!is_bind(mount)) continue;
    DAVIT_ASSIGN(MountOptions options, parse_mount_options(mount));
    for (const auto& [option, value] : options.filesystem)
      sources.warnings.push_back("mount at \"" + mount.destination + "\": option \"" + option +
                                 "\" is nothing that a bind mount has");
    std::string path = below(bundle, mount.source);
    if (can_wait(mount, options, spec, namespaces)) {
      sources.later.resize(spec.mounts.size());
      sources.later[i] = std::move(path);
      continue;
    }
    auto source = kernel::clone_tree(AT_FDCWD, path.c_str(), options.recursive);
    if (!source)
      return wrap("mount \"" + mount.source + "\" at \"" + mount.destination + '"',
                  std::move(source).error());
    if (options.map_ids)
      if (auto mapped = maps.apply(mount, options, source->get()); !mapped)
        return wrap("mount \"" + mount.source + "\" at \"" + mount.destination + '"',
                    std::move(mapped).error());
    sources.mounts[i] = std::move(*source);
  }
  return sources;
}

Result<> mount_rootfs(const RootfsContext& context) {
  int root = context.sources.root.get();
  if (!context.shares_mounts) DAVIT_TRY(make_host_slave());
  // What is mounted in the root from here on must not appear on the host.
  DAVIT_TRY(kernel::set_attributes(root, {.propagation = MS_SLAVE}, true));
  if (!context.shares_mounts) {
    // On top of "/": the one directory that is always there and may always be looked up. Paths
    // still start below it, in the host's root, until enter_rootfs.
    DAVIT_ASSIGN(Fd top, kernel::open_at(AT_FDCWD, "/", O_PATH | O_DIRECTORY));
    DAVIT_TRY(kernel::attach(root, top.get()));
  }
  if (auto mounted = mount_all(context); !mounted)
    return context.shares_mounts ? wrap("without a mount namespace, which takes Linux 6.15",
                                        std::move(mounted).error())
                                 : mounted;
  DAVIT_TRY(make_dev(context));
  if (context.spec.process.cwd != "/") {
    // A missing working directory is made, as every runtime does; one that cannot be made is the
    // later chdir's failure.
    (void)kernel::make_dir_in_root(root, context.spec.process.cwd, 0755);
  }
  return {};
}

Result<> enter_rootfs(const RootfsContext& context, bool no_pivot) {
  int root = context.sources.root.get();
  if (::fchdir(root) != 0) return fail_errno("enter the rootfs");
  if (no_pivot) {
    // The rootfs covers "/", or is attached nowhere: only this process's own root is another.
    if (::chroot(".") != 0) return fail_errno("chroot");
  } else {
    if (::syscall(SYS_pivot_root, ".", ".") != 0) return fail_errno("pivot_root");
    if (::umount2(".", MNT_DETACH) != 0) return fail_errno("unmount the host's root");
  }
  if (::chdir("/") != 0) return fail_errno("chdir \"/\"");
  DAVIT_ASSIGN(std::uint64_t propagation, parse_propagation(context.spec.rootfs_propagation));
  if (propagation != 0)
    DAVIT_TRY(kernel::set_attributes(root, {.propagation = propagation & ~std::uint64_t{MS_REC}},
                                     (propagation & MS_REC) != 0));
  return {};
}

}  // namespace davit::oci
