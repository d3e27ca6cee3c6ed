// Checkpoint and restore of a container's processes through CRIU.
#pragma once

#include <string>
#include <vector>

#include "native/kernel/result.h"
#include "native/oci/cgroup/cgroup.h"
#include "native/oci/checkpoint/criu.h"
#include "native/oci/container.h"
#include "native/oci/spec.h"

namespace davit::oci {

// Writes the processes of `init` to options.image_path.
Result<> dump_processes(const CheckpointOptions& options, const Spec& spec, pid_t init,
                        const Cgroup& cgroup);

// The restored init's pid, a child of the caller, stopped like all its processes; and the master of
// its terminal when it has one.
struct RestorePlan {
  const CheckpointOptions& options;
  const Spec& spec;
  const CreateOptions& create;
  const Cgroup& cgroup;
  std::string state_dir;
};
Result<CriuAnswer> restore_processes(const RestorePlan& plan);

// The images may be anybody's: what they made of processes that are still stopped must be what the
// config asks for, neither more mounts, namespaces or privileges nor fewer walls.
Result<> verify_restored(const Spec& spec, const std::string& bundle, pid_t init,
                         const Cgroup& cgroup);

// What criu is told at both ends about mounts that it is not to copy: "mnt[KEY]".
struct ExternalMount {
  std::string destination, source;
};
std::vector<ExternalMount> external_mounts(const Spec& spec, const std::string& bundle,
                                           const Cgroup& cgroup);

// What both ends call a network namespace that is somebody else's.
inline constexpr const char* kOuterNetwork = "outerNetwork";

// Options that both directions share.
pb::Writer common_options(const CheckpointOptions& options);

// Saving memory takes its time; a client that gives up does not end it.
inline constexpr int kCriuMs = 600'000;

}  // namespace davit::oci
