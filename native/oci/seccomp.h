// Seccomp: linux.seccomp of the OCI spec compiled to a BPF program by libseccomp, once per
// container, and loaded by every process of it just before execve.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "native/kernel/fd.h"
#include "native/kernel/result.h"
#include "native/oci/json.h"

namespace davit::oci {

struct SeccompFilter {
  std::vector<std::uint64_t> program;  // sock_filter[], 8 bytes each
  std::uint32_t flags = 0;             // SECCOMP_FILTER_FLAG_*
  bool notify = false;                 // some rule answers SCMP_ACT_NOTIFY
  std::string listener_path, listener_metadata;

  bool empty() const { return program.empty(); }
};

// What may stand in linux.seccomp.
struct SeccompNames {
  std::vector<std::string> actions, operators, architectures, flags;
};
SeccompNames seccomp_names();

// `value` is the linux.seccomp object. Syscalls that this libseccomp or an architecture does not
// know are left out, as runc does; everything else that is wrong is EINVAL and names the member.
Result<SeccompFilter> compile_seccomp(const json::Value& value, const json::At& at);

// Loads the filter into the calling process; it must have no_new_privs or CAP_SYS_ADMIN. With
// `notify` the returned descriptor is the listener, else it is empty.
Result<Fd> load_seccomp(const SeccompFilter& filter);

}  // namespace davit::oci
