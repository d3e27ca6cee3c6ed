// The same as seccomp_program.h by libseccomp itself: for architectures that are not known there,
// and for tests to compare with.
#pragma once

#include "native/kernel/result.h"
#include "native/oci/seccomp_program.h"

namespace davit::oci {

// newer_are_enosys is not carried out.
Result<std::vector<std::uint64_t>> compile_with_libseccomp(const SeccompRules& rules);

}  // namespace davit::oci
