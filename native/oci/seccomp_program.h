// Compiles seccomp rules to BPF: a binary search over ranges of system call numbers, which is both
// some hundred times cheaper to make than libseccomp's program (that takes 20 ms and 1 MB for the
// usual profile, at every start) and cheaper to run. Names and numbers are libseccomp's.
#pragma once

#include <seccomp.h>

#include <cstdint>
#include <string>
#include <vector>

namespace davit::oci {

struct SeccompRule {
  std::vector<std::string> names;
  std::uint32_t action = 0;              // SECCOMP_RET_*
  std::vector<scmp_arg_cmp> conditions;  // all must hold; at most one per argument
};

struct SeccompRules {
  std::uint32_t default_action = 0;
  std::vector<std::uint32_t> architectures;  // SCMP_ARCH_*, without duplicates
  std::vector<SeccompRule> rules;
  // System calls newer than every one in the rules get ENOSYS, not the default action: programs
  // then fall back to an older call, where EPERM would make them fail.
  bool newer_are_enosys = false;
};

// True when compile_rules knows these architectures; others are left to libseccomp.
bool can_compile(const std::vector<std::uint32_t>& architectures);

// As libseccomp, an unconditional rule for a system call beats conditional ones, and the first of
// two unconditional ones counts. Of conditional ones the first that holds counts. Names that an
// architecture does not have are left out there. Each element is one struct sock_filter.
std::vector<std::uint64_t> compile_rules(const SeccompRules& rules);

}  // namespace davit::oci
