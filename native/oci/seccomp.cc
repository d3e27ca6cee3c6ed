#include "native/oci/seccomp.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <memory>

namespace davit::oci {
namespace {

using json::At;
using json::Value;

struct Name {
  const char* name;
  std::uint32_t value;
};

template <std::size_t N>
const Name* lookup(const Name (&names)[N], const std::string& name) {
  for (const Name& entry : names)
    if (name == entry.name) return &entry;
  return nullptr;
}

// runtime-spec, "Seccomp": actions; ERRNO and TRACE take a number, EPERM unless given.
Result<std::uint32_t> action_of(const std::string& name, std::optional<std::uint32_t> number,
                                const At& at) {
  constexpr Name kActions[] = {
      {"SCMP_ACT_KILL", SCMP_ACT_KILL},
      {"SCMP_ACT_KILL_THREAD", SCMP_ACT_KILL_THREAD},
      {"SCMP_ACT_KILL_PROCESS", SCMP_ACT_KILL_PROCESS},
      {"SCMP_ACT_TRAP", SCMP_ACT_TRAP},
      {"SCMP_ACT_ALLOW", SCMP_ACT_ALLOW},
      {"SCMP_ACT_LOG", SCMP_ACT_LOG},
      {"SCMP_ACT_NOTIFY", SCMP_ACT_NOTIFY},
  };
  if (name == "SCMP_ACT_ERRNO" || name == "SCMP_ACT_TRACE") {
    std::uint32_t value = number.value_or(EPERM);
    if (value > 0xffff) return json::wrong(at, "an errno up to 65535");
    return name == "SCMP_ACT_ERRNO" ? SCMP_ACT_ERRNO(value) : SCMP_ACT_TRACE(value);
  }
  const Name* action = lookup(kActions, name);
  if (action == nullptr) return json::wrong(at, "a known action");
  return action->value;
}

Result<scmp_compare> operator_of(const std::string& name, const At& at) {
  constexpr Name kOperators[] = {
      {"SCMP_CMP_NE", SCMP_CMP_NE},
      {"SCMP_CMP_LT", SCMP_CMP_LT},
      {"SCMP_CMP_LE", SCMP_CMP_LE},
      {"SCMP_CMP_EQ", SCMP_CMP_EQ},
      {"SCMP_CMP_GE", SCMP_CMP_GE},
      {"SCMP_CMP_GT", SCMP_CMP_GT},
      {"SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ},
  };
  const Name* found = lookup(kOperators, name);
  if (found == nullptr) return json::wrong(at, "a known operator");
  return static_cast<scmp_compare>(found->value);
}

Result<std::uint32_t> arch_of(const std::string& name, const At& at) {
  constexpr Name kArchitectures[] = {
      {"SCMP_ARCH_X86", SCMP_ARCH_X86},
      {"SCMP_ARCH_X86_64", SCMP_ARCH_X86_64},
      {"SCMP_ARCH_X32", SCMP_ARCH_X32},
      {"SCMP_ARCH_ARM", SCMP_ARCH_ARM},
      {"SCMP_ARCH_AARCH64", SCMP_ARCH_AARCH64},
      {"SCMP_ARCH_MIPS", SCMP_ARCH_MIPS},
      {"SCMP_ARCH_MIPS64", SCMP_ARCH_MIPS64},
      {"SCMP_ARCH_MIPS64N32", SCMP_ARCH_MIPS64N32},
      {"SCMP_ARCH_MIPSEL", SCMP_ARCH_MIPSEL},
      {"SCMP_ARCH_MIPSEL64", SCMP_ARCH_MIPSEL64},
      {"SCMP_ARCH_MIPSEL64N32", SCMP_ARCH_MIPSEL64N32},
      {"SCMP_ARCH_PPC", SCMP_ARCH_PPC},
      {"SCMP_ARCH_PPC64", SCMP_ARCH_PPC64},
      {"SCMP_ARCH_PPC64LE", SCMP_ARCH_PPC64LE},
      {"SCMP_ARCH_S390", SCMP_ARCH_S390},
      {"SCMP_ARCH_S390X", SCMP_ARCH_S390X},
      {"SCMP_ARCH_PARISC", SCMP_ARCH_PARISC},
      {"SCMP_ARCH_PARISC64", SCMP_ARCH_PARISC64},
      {"SCMP_ARCH_RISCV64", SCMP_ARCH_RISCV64},
  };
  const Name* found = lookup(kArchitectures, name);
  if (found == nullptr) return json::wrong(at, "a known architecture");
  return found->value;
}

using Context = std::unique_ptr<void, void (*)(scmp_filter_ctx)>;

// Negative results of libseccomp are errno values.
Result<> check(int result, const At& at) {
  if (result == 0) return {};
  return fail(-result, at.path);
}

Result<> add_architectures(scmp_filter_ctx context, const Value& seccomp, const At& at) {
  std::vector<std::string> names;
  DAVIT_TRY(json::get(seccomp, "architectures", at, names));
  for (std::size_t i = 0; i < names.size(); i++) {
    At here = (at / "architectures")[i];
    DAVIT_ASSIGN(std::uint32_t arch, arch_of(names[i], here));
    int added = ::seccomp_arch_add(context, arch);
    if (added != -EEXIST) DAVIT_TRY(check(added, here));
  }
  return {};
}

Result<std::vector<scmp_arg_cmp>> arguments_of(const Value& rule, const At& at) {
  std::vector<scmp_arg_cmp> arguments;
  DAVIT_ASSIGN(const Value* list, json::array(rule, "args", at));
  if (list == nullptr) return arguments;
  for (const Value& item : list->GetArray()) {
    At here = (at / "args")[arguments.size()];
    if (!item.IsObject()) return json::wrong(here, "an object");
    std::optional<std::uint32_t> index;
    std::optional<std::uint64_t> value, value_two;
    std::string name;
    DAVIT_TRY(json::get(item, "index", here, index));
    DAVIT_TRY(json::get(item, "value", here, value));
    DAVIT_TRY(json::get(item, "valueTwo", here, value_two));
    DAVIT_TRY(json::get(item, "op", here, name));
    if (index.value_or(0) > 5) return json::wrong(here / "index", "from 0 to 5");
    DAVIT_ASSIGN(scmp_compare op, operator_of(name, here / "op"));
    // For MASKED_EQ the first datum is the mask.
    arguments.push_back({index.value_or(0), op, value.value_or(0), value_two.value_or(0)});
  }
  return arguments;
}

Result<> add_to(scmp_filter_ctx context, std::uint32_t action, int number,
                const std::vector<scmp_arg_cmp>& arguments, const At& at) {
  bool repeated = false;
  for (std::size_t i = 0; i < arguments.size(); i++)
    for (std::size_t j = i + 1; j < arguments.size(); j++)
      repeated |= arguments[i].arg == arguments[j].arg;
  if (!repeated)
    return check(
        ::seccomp_rule_add_array(context, action, number, static_cast<unsigned>(arguments.size()),
                                 arguments.data()),
        at);
  // libseccomp takes one condition per argument; runc then makes each a rule of its own.
  for (const scmp_arg_cmp& one : arguments)
    DAVIT_TRY(check(::seccomp_rule_add_array(context, action, number, 1, &one), at));
  return {};
}

Result<> add_rule(scmp_filter_ctx context, const Value& rule, std::uint32_t default_action,
                  const At& at, bool& notify) {
  if (!rule.IsObject()) return json::wrong(at, "an object");
  std::vector<std::string> names;
  std::string action_name;
  std::optional<std::uint32_t> number;
  DAVIT_TRY(json::get(rule, "names", at, names));
  DAVIT_TRY(json::get(rule, "action", at, action_name));
  DAVIT_TRY(json::get(rule, "errnoRet", at, number));
  if (names.empty()) return json::wrong(at / "names", "a list with at least one name");
  DAVIT_ASSIGN(std::uint32_t action, action_of(action_name, number, at / "action"));
  DAVIT_ASSIGN(std::vector<scmp_arg_cmp> arguments, arguments_of(rule, at));
  notify |= action == SCMP_ACT_NOTIFY;
  // libseccomp refuses rules that say what the default says anyway.
  if (action == default_action) return {};
  for (const std::string& name : names) {
    int syscall = ::seccomp_syscall_resolve_name(name.c_str());
    if (syscall == __NR_SCMP_ERROR) continue;
    if (notify && name == "write" && action == SCMP_ACT_NOTIFY)
      return fail(EINVAL, at.path + ": SCMP_ACT_NOTIFY cannot be used for the write system call");
    DAVIT_TRY(add_to(context, action, syscall, arguments, at));
  }
  return {};
}

Result<std::uint32_t> flags_of(const Value& seccomp, const At& at) {
  constexpr Name kFlags[] = {
      {"SECCOMP_FILTER_FLAG_TSYNC", 0},  // one thread is all there is when the filter is loaded
      {"SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG},
      {"SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW},
      {"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", 1U << 5},
  };
  std::vector<std::string> names;
  DAVIT_TRY(json::get(seccomp, "flags", at, names));
  std::uint32_t flags = 0;
  for (std::size_t i = 0; i < names.size(); i++) {
    const Name* flag = lookup(kFlags, names[i]);
    if (flag == nullptr) return json::wrong((at / "flags")[i], "a known flag");
    flags |= flag->value;
  }
  return flags;
}

Result<std::vector<std::uint64_t>> export_program(scmp_filter_ctx context) {
  Fd memory(::memfd_create("seccomp", MFD_CLOEXEC));
  if (!memory) return fail_errno("memfd for the seccomp filter");
  if (int result = ::seccomp_export_bpf(context, memory.get()); result != 0)
    return fail(-result, "compile the seccomp filter");
  off_t size = ::lseek(memory.get(), 0, SEEK_END);
  std::vector<std::uint64_t> program(static_cast<std::size_t>(size) / sizeof(sock_filter));
  if (::pread(memory.get(), program.data(), static_cast<std::size_t>(size), 0) != size)
    return fail_errno("read the seccomp filter");
  return program;
}

}  // namespace

Result<SeccompFilter> compile_seccomp(const Value& seccomp, const At& at) {
  SeccompFilter filter;
  std::string default_name;
  std::optional<std::uint32_t> default_number;
  DAVIT_TRY(json::get(seccomp, "defaultAction", at, default_name));
  DAVIT_TRY(json::get(seccomp, "defaultErrnoRet", at, default_number));
  DAVIT_TRY(json::get(seccomp, "listenerPath", at, filter.listener_path));
  DAVIT_TRY(json::get(seccomp, "listenerMetadata", at, filter.listener_metadata));
  DAVIT_ASSIGN(std::uint32_t default_action,
               action_of(default_name, default_number, at / "defaultAction"));
  if (default_action == SCMP_ACT_NOTIFY)
    return fail(EINVAL, at.path + ".defaultAction: SCMP_ACT_NOTIFY cannot be the default");
  Context context(::seccomp_init(default_action), ::seccomp_release);
  if (!context) return fail(ENOMEM, "start a seccomp filter");
  // no_new_privs is the process's own setting, not libseccomp's.
  (void)::seccomp_attr_set(context.get(), SCMP_FLTATR_CTL_NNP, 0);
  // A binary tree: few comparisons per system call.
  (void)::seccomp_attr_set(context.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2);
  DAVIT_TRY(add_architectures(context.get(), seccomp, at));
  DAVIT_ASSIGN(const Value* rules, json::array(seccomp, "syscalls", at));
  if (rules != nullptr)
    for (rapidjson::SizeType i = 0; i < rules->Size(); i++)
      DAVIT_TRY(add_rule(context.get(), (*rules)[i], default_action, (at / "syscalls")[i],
                         filter.notify));
  DAVIT_ASSIGN(filter.flags, flags_of(seccomp, at));
  DAVIT_ASSIGN(filter.program, export_program(context.get()));
  if (filter.notify) filter.flags |= SECCOMP_FILTER_FLAG_NEW_LISTENER;
  return filter;
}

Result<Fd> load_seccomp(const SeccompFilter& filter) {
  sock_fprog program{
      static_cast<unsigned short>(filter.program.size()),
      reinterpret_cast<sock_filter*>(const_cast<std::uint64_t*>(filter.program.data()))};
  long result = ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, filter.flags, &program);
  if (result < 0) return fail_errno("load the seccomp filter");
  return filter.notify ? Fd(static_cast<int>(result)) : Fd();
}

}  // namespace davit::oci
