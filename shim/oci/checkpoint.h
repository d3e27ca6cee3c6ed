// What checkpoint and restore share.
#pragma once

#include "native/oci/container.h"
#include "shim/oci/commands.h"

namespace davit::oci_cli {

// Refuses what the executor does not do rather than leave it out.
Result<oci::CheckpointOptions> checkpoint_options(const Call& call);

}  // namespace davit::oci_cli
