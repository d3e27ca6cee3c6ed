// The root file system of a container: everything that is mounted, made and hidden in it, and the
// moment at which it becomes "/".
#pragma once

#include <string>
#include <vector>

#include "native/kernel/fd.h"
#include "native/kernel/result.h"
#include "native/oci/namespaces.h"
#include "native/oci/spec.h"

namespace davit::oci {

// Detached copies of the host's mounts that go into a container. Opened by the caller, who may look
// everywhere; the container's init, perhaps root of a user namespace only, just attaches them.
struct Sources {
  Fd root;
  std::vector<Fd> mounts;          // one per spec.mounts; empty for what is not a bind mount
  std::vector<std::string> later;  // paths on the host of those that init copies; or empty
  std::vector<std::string> warnings;
};
Result<Sources> open_sources(const Spec& spec, const std::string& bundle,
                             const Namespaces& namespaces);

// What rootfs set-up needs to know beyond the spec.
struct RootfsContext {
  const Spec& spec;
  const Sources& sources;
  std::vector<std::string> cgroups;  // Cgroup::paths()
  bool user_namespace = false;       // device nodes cannot be made, only bound
  // The mount namespace is the host's. The root then stays a tree that is attached nowhere, with
  // all that is mounted in it: nobody else sees it, and it goes with its last process.
  bool shares_mounts = false;
};

// In the container's mount namespace, in this order; the host's root is "/" until enter_rootfs.
Result<> mount_rootfs(const RootfsContext& context);
// Binds a pty's slave over /dev/console.
Result<> mount_console(const Sources& sources, int slave);
// Hides masked paths and seals read-only ones and, if asked for, the root.
Result<> seal_rootfs(const RootfsContext& context);
Result<> enter_rootfs(const RootfsContext& context, bool no_pivot);

}  // namespace davit::oci
