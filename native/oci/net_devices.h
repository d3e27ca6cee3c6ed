// linux.netDevices: devices of the host that move into the container's network namespace.
#pragma once

#include <sys/types.h>

#include "native/kernel/result.h"
#include "native/oci/namespaces.h"
#include "native/oci/spec.h"

namespace davit::oci {

// By the creator, once `pid` is in that namespace. Permanent addresses go with a device, which is
// set up there; it ends or comes back with the namespace.
Result<> move_net_devices(const Spec& spec, const Namespaces& namespaces, pid_t pid);

}  // namespace davit::oci
