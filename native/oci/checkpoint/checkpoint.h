// Checkpoint and restore of a container's processes through CRIU.
#pragma once

#include <string>
#include <vector>

#include "native/kernel/result.h"
#include "native/oci/cgroup/cgroup.h"
#include "native/oci/container.h"
#include "native/oci/spec.h"

namespace davit::oci {

// Writes the processes of `init` to options.image_path.
Result<> dump_processes(const CheckpointOptions& options, const Spec& spec, pid_t init,
                        const Cgroup& cgroup, int deadline_ms);

// The restored init's pid: a child of the caller, stopped like all its processes.
struct RestorePlan {
  const CheckpointOptions& options;
  const Spec& spec;
  const CreateOptions& create;
  const Cgroup& cgroup;
  std::string state_dir;
};
Result<pid_t> restore_processes(const RestorePlan& plan);

// What criu is told at both ends about mounts that it is not to copy: "mnt[KEY]".
struct ExternalMount {
  std::string destination, source;
};
std::vector<ExternalMount> external_mounts(const Spec& spec, const std::string& bundle);

// Options that both directions share.
std::vector<std::string> common_arguments(const CheckpointOptions& options, const char* verb,
                                          const std::string& work_path);

}  // namespace davit::oci
