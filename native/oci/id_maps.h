// uid_map and gid_map of a new user namespace: user_namespaces(7).
#pragma once

#include <sys/types.h>

#include <vector>

#include "native/kernel/result.h"
#include "native/oci/spec.h"

namespace davit::oci {

// Writes both for `pid`, which must wait until this is done.
Result<> write_id_maps(pid_t pid, const std::vector<IdMapping>& uids,
                       const std::vector<IdMapping>& gids);

}  // namespace davit::oci
