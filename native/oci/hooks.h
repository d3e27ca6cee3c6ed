// Hooks of the OCI spec: programs told of the container's state on standard input.
#pragma once

#include <string>
#include <vector>

#include "native/kernel/result.h"
#include "native/oci/spec.h"

namespace davit::oci {

// The OCI state as JSON: id, status, pid (left out when 0), bundle, annotations.
std::string state_json(const Spec& spec, const std::string& id, const char* status, pid_t pid,
                       const std::string& bundle);

// Runs them one after the other. The first that fails, or outlives its timeout (it is killed),
// ends the run; the error names it and carries the end of what it wrote to stderr.
Result<> run_hooks(const std::vector<Hook>& hooks, const char* kind, const std::string& state);

}  // namespace davit::oci
