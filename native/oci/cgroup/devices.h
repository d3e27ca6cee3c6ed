// Which devices a container may use: OCI's ordered list of rules, folded into what a cgroup can
// express (a default and exceptions from it).
#pragma once

#include <vector>

#include "native/kernel/result.h"
#include "native/oci/resources.h"

namespace davit::oci {

struct DevicePolicy {
  bool allow_by_default = false;
  std::vector<DeviceRule> exceptions;  // all of the opposite kind
};

// Applies the rules in order, starting from "nothing", then the devices that every container has:
// mknod of anything, null, zero, full, tty, random, urandom, console, ptmx, pts.
// EINVAL for taking away a part of what a wider rule has given: a cgroup cannot express that.
Result<DevicePolicy> device_policy(const std::vector<DeviceRule>& rules);

// Writes the policy to the v1 cgroup `dir`.
Result<> apply_devices_v1(int dir, const DevicePolicy& policy);

// Attaches the policy to the v2 cgroup `dir` as an eBPF program, which lives as long as the cgroup;
// replaces the one attached before.
Result<> apply_devices_v2(int dir, const DevicePolicy& policy);

}  // namespace davit::oci
