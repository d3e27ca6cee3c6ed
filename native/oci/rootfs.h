// The container's root, built by its init before it enters it. Everything inside the root is
// reached by descriptors that openat2 resolved in the root; nothing there is trusted.
#pragma once

#include <string>
#include <vector>

#include "native/kernel/fd.h"
#include "native/kernel/result.h"
#include "native/oci/cgroup/cgroup.h"
#include "native/oci/spec.h"

namespace davit::oci {

// What the build needs from the host and must not look up in the container.
struct HostHandles {
  Fd null;  // /dev/null, checked to be it
  Fd proc;  // /proc, checked to be procfs
};
Result<HostHandles> open_host_handles();

class Rootfs {
 public:
  // Makes mount propagation what the spec says, and the root a mount of its own.
  static Result<Rootfs> open(const std::string& path, const Spec& spec);

  int fd() const { return root_.get(); }
  // One mount of the spec. `wait_for_cgroup` is called before the first cgroup mount.
  template <typename Wait>
  Result<> mount_all(const Spec& spec, const std::string& bundle, const Cgroup& cgroup,
                     const Wait& wait_for_cgroup) {
    for (const Mount& one : spec.mounts) {
      if (one.type == "cgroup" || one.type == "cgroup2") DAVIT_TRY(wait_for_cgroup());
      DAVIT_TRY(mount(one, spec, bundle, cgroup));
    }
    return {};
  }
  Result<> make_devices(const Spec& spec, const HostHandles& host);
  Result<> protect(const Spec& spec, const HostHandles& host);  // masked, read-only paths and root
  // Puts a terminal's slave on /dev/console.
  Result<> bind_console(int slave);
  // pivot_root, or MS_MOVE and chroot; afterwards "/" is the container's.
  Result<> enter(const Spec& spec, bool pivot);

 private:
  Result<> mount(const Mount& mount, const Spec& spec, const std::string& bundle,
                 const Cgroup& cgroup);
  Result<> mount_bind(const Mount& mount, const std::string& bundle);
  Result<> mount_filesystem(const Mount& mount);
  Result<> mount_cgroup(const Mount& mount, const Spec& spec, const Cgroup& cgroup);
  Result<Fd> destination(const std::string& path, const char* type, bool directory);

  std::string path_;
  Fd root_;
};

}  // namespace davit::oci
