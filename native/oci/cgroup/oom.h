// Out-of-memory notices of a cgroup.
#pragma once

#include "native/kernel/result.h"
#include "native/oci/cgroup/cgroup.h"
#include "native/oci/container.h"

namespace davit::oci {

// v1: an eventfd registered with memory.oom_control; v2: inotify on memory.events. ENOENT when the
// memory controller is not there.
Result<OomWatch> watch_oom(const Cgroup& cgroup);

}  // namespace davit::oci
