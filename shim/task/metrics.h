// A container's statistics as containerd's metrics messages.
#pragma once

#include "native/oci/stats.h"
#include "shim/wire/messages.h"

namespace davit::shim {

// io.containerd.cgroups.v1.Metrics or .v2.Metrics, as the host's cgroups are.
wire::Any encode_metrics(const oci::Stats& stats);

}  // namespace davit::shim
