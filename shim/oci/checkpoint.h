// What checkpoint and restore share.
#pragma once

#include "native/oci/container.h"
#include "shim/oci/commands.h"

namespace davit::oci_cli {

// Which cgroups were saved does not matter: they are always the new container's own.
Result<oci::CheckpointOptions> checkpoint_options(const Call& call);

}  // namespace davit::oci_cli
