// linux.sysctl: kernel settings of the container's own namespaces.
#pragma once

#include "native/kernel/result.h"
#include "native/oci/spec.h"

namespace davit::oci {

// EINVAL for a setting that is not confined to one of `own_namespaces`, the CLONE_NEW* that are
// apart from the host's: writing it would change the machine.
Result<> check_sysctl(const Spec& spec, int own_namespaces);

// In the container's namespaces, through the host's procfs.
Result<> write_sysctl(const Spec& spec, int proc);

}  // namespace davit::oci
