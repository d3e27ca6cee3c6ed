// Resource limits and the oom score. Without CAP_SYS_RESOURCE a hard limit cannot be raised nor the
// score lowered: then what is possible is done, and said.
#pragma once

#include "native/kernel/result.h"
#include "native/oci/identity.h"
#include "native/oci/spec.h"

namespace davit::oci {

// While still privileged on the host: raises hard limits and sets the oom score of `pid` (0: self,
// which `proc` must show).
void raise_limits(const ProcessSpec& process, pid_t pid, int proc, Warnings& warnings);

// Last: the exact values, which after raise_limits are never above what is allowed.
Result<> set_limits(const ProcessSpec& process);

}  // namespace davit::oci
