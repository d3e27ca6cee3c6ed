#include "native/oci/seccomp.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "native/oci/seccomp_library.h"
#include "native/oci/seccomp_program.h"

namespace davit::oci {
namespace {

using json::At;
using json::Value;

struct Name {
  const char* name;
  std::uint32_t value;
};

// runtime-spec, "Seccomp".
constexpr Name kActions[] = {
    {"SCMP_ACT_KILL", SCMP_ACT_KILL},
    {"SCMP_ACT_KILL_THREAD", SCMP_ACT_KILL_THREAD},
    {"SCMP_ACT_KILL_PROCESS", SCMP_ACT_KILL_PROCESS},
    {"SCMP_ACT_TRAP", SCMP_ACT_TRAP},
    {"SCMP_ACT_ALLOW", SCMP_ACT_ALLOW},
    {"SCMP_ACT_LOG", SCMP_ACT_LOG},
    {"SCMP_ACT_NOTIFY", SCMP_ACT_NOTIFY},
    // These two take a number.
    {"SCMP_ACT_ERRNO", SCMP_ACT_ERRNO(0)},
    {"SCMP_ACT_TRACE", SCMP_ACT_TRACE(0)},
};
constexpr Name kOperators[] = {
    {"SCMP_CMP_NE", SCMP_CMP_NE},
    {"SCMP_CMP_LT", SCMP_CMP_LT},
    {"SCMP_CMP_LE", SCMP_CMP_LE},
    {"SCMP_CMP_EQ", SCMP_CMP_EQ},
    {"SCMP_CMP_GE", SCMP_CMP_GE},
    {"SCMP_CMP_GT", SCMP_CMP_GT},
    {"SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ},
};
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
constexpr Name kFlags[] = {
    {"SECCOMP_FILTER_FLAG_TSYNC", 0},  // one thread is all there is when the filter is loaded
    {"SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG},
    {"SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW},
    {"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", 1U << 5},
};

template <std::size_t N>
const Name* lookup(const Name (&names)[N], const std::string& name) {
  for (const Name& entry : names)
    if (name == entry.name) return &entry;
  return nullptr;
}

// ERRNO's and TRACE's number is EPERM unless given.
Result<std::uint32_t> action_of(const std::string& name, std::optional<std::uint32_t> number,
                                const At& at) {
  const Name* action = lookup(kActions, name);
  if (action == nullptr) return json::wrong(at, "a known action");
  if (action->value != SCMP_ACT_ERRNO(0) && action->value != SCMP_ACT_TRACE(0)) {
    if (number) return json::wrong(at, "SCMP_ACT_ERRNO or SCMP_ACT_TRACE to have a number");
    return action->value;
  }
  std::uint32_t value = number.value_or(EPERM);
  if (value > 0xffff) return json::wrong(at, "an errno up to 65535");
  return action->value | value;
}

Result<scmp_compare> operator_of(const std::string& name, const At& at) {
  const Name* found = lookup(kOperators, name);
  if (found == nullptr) return json::wrong(at, "a known operator");
  return static_cast<scmp_compare>(found->value);
}

Result<std::uint32_t> arch_of(const std::string& name, const At& at) {
  const Name* found = lookup(kArchitectures, name);
  if (found == nullptr) return json::wrong(at, "a known architecture");
  return found->value;
}

// The own architecture is always among them.
Result<std::vector<std::uint32_t>> architectures_of(const Value& seccomp, const At& at) {
  std::vector<std::string> names;
  DAVIT_TRY(json::get(seccomp, "architectures", at, names));
  std::vector<std::uint32_t> architectures{::seccomp_arch_native()};
  for (std::size_t i = 0; i < names.size(); i++) {
    DAVIT_ASSIGN(std::uint32_t arch, arch_of(names[i], (at / "architectures")[i]));
    if (std::find(architectures.begin(), architectures.end(), arch) == architectures.end())
      architectures.push_back(arch);
  }
  return architectures;
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

Result<> add_rule(const Value& value, const At& at, SeccompRules& out, bool& notify) {
  if (!value.IsObject()) return json::wrong(at, "an object");
  SeccompRule rule;
  std::string action_name;
  std::optional<std::uint32_t> number;
  DAVIT_TRY(json::get(value, "names", at, rule.names));
  DAVIT_TRY(json::get(value, "action", at, action_name));
  DAVIT_TRY(json::get(value, "errnoRet", at, number));
  if (rule.names.empty()) return json::wrong(at / "names", "a list with at least one name");
  DAVIT_ASSIGN(rule.action, action_of(action_name, number, at / "action"));
  DAVIT_ASSIGN(rule.conditions, arguments_of(value, at));
  if (rule.action == SCMP_ACT_NOTIFY) {
    notify = true;
    if (std::find(rule.names.begin(), rule.names.end(), "write") != rule.names.end())
      return fail(EINVAL, at.path + ": SCMP_ACT_NOTIFY cannot be used for the write system call");
  }
  // It says what the default says anyway.
  if (rule.action == out.default_action) return {};
  bool repeated = false;
  for (std::size_t i = 0; i < rule.conditions.size(); i++)
    for (std::size_t j = i + 1; j < rule.conditions.size(); j++)
      repeated |= rule.conditions[i].arg == rule.conditions[j].arg;
  if (!repeated) {
    out.rules.push_back(std::move(rule));
    return {};
  }
  // Several conditions on one argument are alternatives, as runc reads them.
  for (const scmp_arg_cmp& one : rule.conditions)
    out.rules.push_back({rule.names, rule.action, {one}});
  return {};
}

Result<std::uint32_t> flags_of(const Value& seccomp, const At& at) {
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

template <std::size_t N>
std::vector<std::string> names_in(const Name (&names)[N]) {
  std::vector<std::string> out;
  for (const Name& entry : names) out.emplace_back(entry.name);
  return out;
}

}  // namespace

SeccompNames seccomp_names() {
  return {names_in(kActions), names_in(kOperators), names_in(kArchitectures), names_in(kFlags)};
}

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
  SeccompRules rules;
  rules.default_action = default_action;
  DAVIT_ASSIGN(rules.architectures, architectures_of(seccomp, at));
  // runc does so, too, unless the profile lets through or already says ENOSYS.
  rules.newer_are_enosys = default_action != SCMP_ACT_ALLOW && default_action != SCMP_ACT_LOG &&
                           default_action != SCMP_ACT_ERRNO(ENOSYS);
  DAVIT_ASSIGN(const Value* list, json::array(seccomp, "syscalls", at));
  if (list != nullptr)
    for (rapidjson::SizeType i = 0; i < list->Size(); i++)
      DAVIT_TRY(add_rule((*list)[i], (at / "syscalls")[i], rules, filter.notify));
  DAVIT_ASSIGN(filter.flags, flags_of(seccomp, at));
  if (filter.notify && filter.listener_path.empty())
    return json::wrong(at / "listenerPath", "given for SCMP_ACT_NOTIFY");
  if (filter.listener_path.empty() && !filter.listener_metadata.empty())
    return json::wrong(at / "listenerMetadata", "given with listenerPath only");
  if (can_compile(rules.architectures)) {
    filter.program = compile_rules(rules);
  } else {
    DAVIT_ASSIGN(filter.program, compile_with_libseccomp(rules));
  }
  if (filter.program.size() > BPF_MAXINSNS)
    return fail(E2BIG, at.path + ": more than a filter can hold");
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
