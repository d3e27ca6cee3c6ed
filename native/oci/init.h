// The first process of a container, from its clone to its program.
#pragma once

#include "native/oci/cgroup/cgroup.h"
#include "native/oci/container.h"
#include "native/oci/namespaces.h"
#include "native/oci/rootfs.h"
#include "native/oci/spec.h"

namespace davit::oci {

// Prepared by the creator; init owns a copy of it all by being its clone.
struct InitPlan {
  Spec& spec;
  const CreateOptions& options;
  const Namespaces& namespaces;
  const Sources& sources;
  std::vector<std::string> cgroups;     // Cgroup::paths()
  int socket = -1;                      // to the creator
  int listener = -1;                    // where another process may say kStart; -1: nobody may
  bool helped = false;                  // joined namespaces before it was cloned
  std::vector<std::string> warnings{};  // of what was done before the clone
};

// In the clone: never returns.
[[noreturn]] void run_init(InitPlan& plan);

// Borrowed descriptors as 0, 1, 2; -1 is /dev/null.
Result<> use_stdio(const Stdio& stdio);

// The end that init and exec share, in the container's root: user, limits, labels, working
// directory, program. Returns the path to execute.
Result<std::string> become_user(ProcessSpec& process, const SeccompFilter* seccomp, int socket,
                                std::vector<std::string>& warnings);

// Says what went wrong to the creator and ends.
[[noreturn]] void give_up(int socket, const Error& error);

}  // namespace davit::oci
