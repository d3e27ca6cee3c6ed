// A further process in a running container.
#pragma once

#include "native/oci/cgroup/cgroup.h"
#include "native/oci/container.h"
#include "native/oci/hooks.h"
#include "native/oci/spec.h"

namespace davit::oci {

struct ExecPlan {
  ProcessSpec& process;
  const SeccompFilter* seccomp = nullptr;  // the container's, or none
  const HookState* hook_state = nullptr;
  Stdio stdio;
  int init_pidfd = -1;
  int root = -1;       // init's, where its mount namespace is the host's
  int namespaces = 0;  // CLONE_NEW* that init has apart from the host's, without pid
  bool joins_pid = false;
  bool no_new_keyring = false;
  std::optional<std::uint64_t> personality;
  std::optional<MemoryPolicy> memory_policy;
  std::string id;
  int preserve_fds = 0;
  int timeout_ms = 0;
  const Rdt* rdt = nullptr;
};
Result<Process> start_exec(ExecPlan plan, Cgroup::Entrance entrance);

}  // namespace davit::oci
