// What systemd is told of a container's limits, so that its next reload does not undo them. What
// it does not know of (huge pages, I/O, devices of v2, idle, burst) is written to the cgroup alone.
#pragma once

#include <map>
#include <string>

#include "native/kernel/result.h"
#include "native/oci/resources.h"
#include "native/oci/systemd/message.h"

namespace davit::oci {

// EINVAL for a list of processors or memory nodes that is none. The devices of v1 are included when
// there are rules for them or `with_devices`.
Result<dbus::Properties> limit_properties(const Resources& resources, bool unified,
                                          bool with_devices);

// Annotations `org.systemd.property.NAME`, whose values are written as GVariant texts ("'both'",
// "uint64 5", "true"). Whoever writes a container's annotations must not run programs as the
// machine's root (CVE-2024-3154) nor lift its limits: only properties of the scope's own end are
// taken; EPERM for any other, EINVAL for a value that is not of the property's type.
Result<dbus::Properties> annotated_properties(
    const std::map<std::string, std::string>& annotations);

}  // namespace davit::oci
