#include "native/oci/seccomp_library.h"

#include <linux/filter.h>
#include <sys/mman.h>
#include <unistd.h>

#include <memory>

#include "native/kernel/fd.h"

namespace davit::oci {
namespace {

using Context = std::unique_ptr<void, void (*)(scmp_filter_ctx)>;

// Negative results of libseccomp are errno values.
Result<> check(int result, const char* what) {
  if (result == 0) return {};
  return fail(-result, std::string("compile the seccomp filter: ") + what);
}

Result<std::vector<std::uint64_t>> export_program(scmp_filter_ctx context) {
  Fd memory(::memfd_create("seccomp", MFD_CLOEXEC));
  if (!memory) return fail_errno("memfd for the seccomp filter");
  DAVIT_TRY(check(::seccomp_export_bpf(context, memory.get()), "export"));
  off_t size = ::lseek(memory.get(), 0, SEEK_END);
  std::vector<std::uint64_t> program(static_cast<std::size_t>(size) / sizeof(sock_filter));
  if (::pread(memory.get(), program.data(), static_cast<std::size_t>(size), 0) != size)
    return fail_errno("read the seccomp filter");
  return program;
}

}  // namespace

Result<std::vector<std::uint64_t>> compile_with_libseccomp(const SeccompRules& rules) {
  Context context(::seccomp_init(rules.default_action), ::seccomp_release);
  if (!context) return fail(ENOMEM, "start a seccomp filter");
  // no_new_privs is the process's own setting, not libseccomp's.
  (void)::seccomp_attr_set(context.get(), SCMP_FLTATR_CTL_NNP, 0);
  // A binary tree: few comparisons per system call.
  (void)::seccomp_attr_set(context.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2);
  for (std::uint32_t architecture : rules.architectures)
    if (int added = ::seccomp_arch_add(context.get(), architecture); added != -EEXIST)
      DAVIT_TRY(check(added, "architecture"));
  for (const SeccompRule& rule : rules.rules)
    for (const std::string& name : rule.names) {
      int number = ::seccomp_syscall_resolve_name(name.c_str());
      if (number == __NR_SCMP_ERROR) continue;
      DAVIT_TRY(check(::seccomp_rule_add_array(context.get(), rule.action, number,
                                               static_cast<unsigned>(rule.conditions.size()),
                                               rule.conditions.data()),
                      name.c_str()));
    }
  return export_program(context.get());
}

}  // namespace davit::oci
