// Resource limits and the oom score. Without CAP_SYS_RESOURCE a hard limit cannot be raised nor the
// score lowered: then what is possible is done, and said.
#pragma once

#include "native/kernel/result.h"
#include "native/oci/identity.h"
#include "native/oci/spec.h"

namespace davit::oci {

// While still privileged on the host: raises hard limits, sets the oom score and the scheduling of
// `pid` (0: self, which `proc` must show).
Result<> prepare_process(const ProcessSpec& process, pid_t pid, int proc, Warnings& warnings);

// Last: the exact values, which after prepare_process are never above what is allowed.
Result<> set_limits(const ProcessSpec& process);

}  // namespace davit::oci
