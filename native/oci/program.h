// Finding a program and becoming it.
#pragma once

#include <string>
#include <vector>

#include "native/kernel/result.h"
#include "native/oci/spec.h"

namespace davit::oci {

// The file that args[0] means in the calling process's root, to its user. The failure's text is the
// one that runc's users know: `exec: "x": executable file not found in $PATH`.
Result<std::string> find_program(const ProcessSpec& process);

// Enters the working directory and proves that it is inside the root (CVE-2024-21626).
Result<> enter_cwd(const std::string& cwd);

// Adds HOME to the environment when it has none: what the /etc/passwd of the calling process's root
// says, or "/".
void add_home(ProcessSpec& process);

// Does not return when it succeeds. `seccomp` is for a process with no_new_privs (or nullptr): it
// is loaded last, so that the filter need allow nothing but execve.
Result<> run_program(const ProcessSpec& process, const std::string& path,
                     const SeccompFilter* seccomp, int socket);

}  // namespace davit::oci
