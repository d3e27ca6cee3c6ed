// What a process gives up, and what it keeps, just before it becomes the user's program. All
// functions act on the calling process.
#pragma once

#include <string>
#include <vector>

#include "native/kernel/result.h"
#include "native/oci/spec.h"

namespace davit::oci {

// Raises the hard limit as far as the kernel lets it; what it did not get is a warning.
Result<> set_rlimits(const std::vector<Rlimit>& limits, std::vector<std::string>& warnings);

// Writes oom_score_adj through `proc`, a trusted procfs. A refusal to lower it is a warning.
Result<> set_oom_score(int proc, std::int64_t score, std::vector<std::string>& warnings);

// Writes sysctls through `proc`. EINVAL for one that is not the container's own namespace's.
Result<> set_sysctls(int proc, const Spec& spec);

// Groups, ids, umask, capability sets and no_new_privs, in the order that leaves no gap.
Result<> drop_privileges(const ProcessSpec& process, bool user_namespace);

// chdir into the working directory, and makes sure that it lies in the root (CVE-2024-21626).
Result<> enter_cwd(const std::string& cwd);

// A session keyring of its own, so that the container cannot see the caller's keys.
Result<> join_keyring(const std::string& name);

// The file that execve will run: a path with a slash as it is, a bare name searched in PATH of
// `env`. The error reads as Go's: `exec: "name": executable file not found in $PATH`.
Result<std::string> find_executable(const std::string& name, const std::vector<std::string>& env);

// `env` with HOME from the container's /etc/passwd when it has none.
std::vector<std::string> with_home(const std::vector<std::string>& env, uid_t uid);

}  // namespace davit::oci
