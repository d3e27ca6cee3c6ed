// Who a process is when its program begins: user, groups, capabilities, labels.
#pragma once

#include <string>
#include <vector>

#include "native/kernel/result.h"
#include "native/oci/seccomp.h"
#include "native/oci/spec.h"

namespace davit::oci {

using Warnings = std::vector<std::string>;

// Takes on everything of `process` that makes it less than root, in the only order that works:
// bounding set, groups, user, the other sets, no_new_privs. Capabilities that this program itself
// lacks are warned of.
Result<> take_identity(const ProcessSpec& process, Warnings& warnings);

// Before take_identity without no_new_privs, which needs CAP_SYS_ADMIN; else last of all, so that
// the filter need not allow what this program still does. A listener goes to the creator over
// `socket`.
Result<> install_seccomp(const SeccompFilter& filter, int socket);

// Labels for the next execve, through the host's procfs. A profile on a machine without the
// security module is an error: running unconfined would be a lie.
Result<> set_exec_labels(const ProcessSpec& process, int proc);

bool has_selinux();

Result<> set_personality(std::uint64_t persona);

}  // namespace davit::oci
