// The process of `exec`: what the container's own process is, but for what the command line says.
#pragma once

#include <string>
#include <vector>

#include "native/kernel/result.h"
#include "shim/oci/flags.h"

namespace davit::oci_cli {

// `config` is the container's config.json; the answer an OCI Process as JSON.
Result<std::string> process_json(const std::string& config, const Options& options,
                                 const std::vector<std::string>& args);

// Adds NAME=value texts to a process's environment.
Result<std::string> with_env(const std::string& process, const std::vector<std::string>& env);

// Whether an OCI Process asks for a terminal.
Result<bool> process_has_terminal(const std::string& process);

}  // namespace davit::oci_cli
