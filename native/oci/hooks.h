// Lifecycle hooks: programs that get the container's state as JSON on their standard input.
#pragma once

#include <string>
#include <vector>

#include "native/kernel/result.h"
#include "native/oci/spec.h"

namespace davit::oci {

// Runs them in order and stops at the first that fails, whose standard error is in the message. A
// hook without a timeout of its own gets five minutes. It leads a session of its own; one that runs
// out of time is killed with its process group, one that ends in time may leave processes behind.
Result<> run_hooks(const std::vector<Hook>& hooks, const char* kind, const std::string& state);

// Runs all; a failure is for the log only, as the spec has it.
void run_poststop(const std::vector<Hook>& hooks, const std::string& state,
                  std::vector<std::string>& warnings);

// The state of the OCI spec. `annotations` is a JSON object or empty.
struct HookState {
  std::string oci_version, id, bundle, annotations;
  std::string json(const char* status, pid_t pid) const;
};

}  // namespace davit::oci
