#include <sys/resource.h>

#include "native/oci/spec.h"

namespace davit::oci {
namespace {

using json::At;
using json::Value;

// capabilities(7), in the order of their numbers.
constexpr const char* kCapabilities[] = {
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
};

// getrlimit(2).
struct Limit {
  const char* name;
  int resource;
};
constexpr Limit kLimits[] = {
    {"RLIMIT_AS", RLIMIT_AS},
    {"RLIMIT_CORE", RLIMIT_CORE},
    {"RLIMIT_CPU", RLIMIT_CPU},
    {"RLIMIT_DATA", RLIMIT_DATA},
    {"RLIMIT_FSIZE", RLIMIT_FSIZE},
    {"RLIMIT_LOCKS", RLIMIT_LOCKS},
    {"RLIMIT_MEMLOCK", RLIMIT_MEMLOCK},
    {"RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE},
    {"RLIMIT_NICE", RLIMIT_NICE},
    {"RLIMIT_NOFILE", RLIMIT_NOFILE},
    {"RLIMIT_NPROC", RLIMIT_NPROC},
    {"RLIMIT_RSS", RLIMIT_RSS},
    {"RLIMIT_RTPRIO", RLIMIT_RTPRIO},
    {"RLIMIT_RTTIME", RLIMIT_RTTIME},
    {"RLIMIT_SIGPENDING", RLIMIT_SIGPENDING},
    {"RLIMIT_STACK", RLIMIT_STACK},
};

Result<> parse_user(const Value& process, const At& at, User& out) {
  DAVIT_ASSIGN(const Value* user, json::object(process, "user", at));
  if (user == nullptr) return {};
  At here = at / "user";
  std::optional<std::uint32_t> uid, gid;
  DAVIT_TRY(json::get(*user, "uid", here, uid));
  DAVIT_TRY(json::get(*user, "gid", here, gid));
  DAVIT_TRY(json::get(*user, "umask", here, out.umask));
  out.uid = uid.value_or(0);
  out.gid = gid.value_or(0);
  // (uid_t)-1 means "leave it" to the kernel, which would be root.
  if (out.uid == UINT32_MAX) return json::wrong(here / "uid", "below 4294967295");
  if (out.gid == UINT32_MAX) return json::wrong(here / "gid", "below 4294967295");
  DAVIT_ASSIGN(const Value* groups, json::array(*user, "additionalGids", here));
  if (groups == nullptr) return {};
  for (const Value& group : groups->GetArray()) {
    if (!group.IsUint() || group.GetUint() == UINT32_MAX)
      return json::wrong((here / "additionalGids")[out.additional_gids.size()], "a group id");
    out.additional_gids.push_back(group.GetUint());
  }
  return {};
}

Result<> parse_set(const Value& capabilities, const char* name, const At& at, std::uint64_t& out,
                   std::vector<std::string>& warnings) {
  std::vector<std::string> names;
  DAVIT_TRY(json::get(capabilities, name, at, names));
  for (const std::string& one : names) {
    int number = capability_number(one);
    // A capability that this davit does not know yet cannot be given: as runc, leave it out.
    if (number < 0)
      warnings.push_back((at / name).path + ": \"" + one + "\" is no known capability");
    else
      out |= std::uint64_t{1} << number;
  }
  return {};
}

Result<> parse_rlimits(const Value& process, const At& at, std::vector<Rlimit>& out) {
  DAVIT_ASSIGN(const Value* list, json::array(process, "rlimits", at));
  if (list == nullptr) return {};
  for (const Value& item : list->GetArray()) {
    At here = (at / "rlimits")[out.size()];
    if (!item.IsObject()) return json::wrong(here, "an object");
    Rlimit limit;
    std::optional<std::uint64_t> soft, hard;
    DAVIT_TRY(json::get(item, "type", here, limit.name));
    DAVIT_TRY(json::get(item, "soft", here, soft));
    DAVIT_TRY(json::get(item, "hard", here, hard));
    limit.resource = -1;
    for (const Limit& known : kLimits)
      if (limit.name == known.name) limit.resource = known.resource;
    if (limit.resource < 0) return json::wrong(here / "type", "a known limit, like RLIMIT_NOFILE");
    for (const Rlimit& other : out)
      if (other.resource == limit.resource) return json::wrong(here / "type", "given once only");
    limit.soft = soft.value_or(0);
    limit.hard = hard.value_or(0);
    if (limit.soft > limit.hard) return json::wrong(here / "soft", "no more than hard");
    out.push_back(std::move(limit));
  }
  return {};
}

}  // namespace

int capability_number(std::string_view name) {
  if (name.starts_with("CAP_")) name.remove_prefix(4);
  for (std::size_t i = 0; i < sizeof kCapabilities / sizeof *kCapabilities; i++)
    if (name == kCapabilities[i]) return static_cast<int>(i);
  return -1;
}

Result<ProcessSpec> parse_process(const Value& value, const At& at) {
  ProcessSpec out;
  DAVIT_TRY(json::get(value, "terminal", at, out.terminal));
  DAVIT_ASSIGN(const Value* size, json::object(value, "consoleSize", at));
  if (size != nullptr) {
    std::optional<std::uint32_t> height, width;
    DAVIT_TRY(json::get(*size, "height", at / "consoleSize", height));
    DAVIT_TRY(json::get(*size, "width", at / "consoleSize", width));
    if (height.value_or(0) > UINT16_MAX || width.value_or(0) > UINT16_MAX)
      return json::wrong(at / "consoleSize", "up to 65535 by 65535");
    out.console_rows = static_cast<std::uint16_t>(height.value_or(0));
    out.console_columns = static_cast<std::uint16_t>(width.value_or(0));
  }
  DAVIT_TRY(parse_user(value, at, out.user));
  DAVIT_TRY(json::get(value, "args", at, out.args));
  DAVIT_TRY(json::get(value, "env", at, out.env));
  DAVIT_TRY(json::get(value, "cwd", at, out.cwd));
  DAVIT_TRY(json::get(value, "noNewPrivileges", at, out.no_new_privileges));
  DAVIT_TRY(json::get(value, "oomScoreAdj", at, out.oom_score_adj));
  DAVIT_TRY(json::get(value, "apparmorProfile", at, out.apparmor_profile));
  DAVIT_TRY(json::get(value, "selinuxLabel", at, out.selinux_label));
  if (out.args.empty()) return json::wrong(at / "args", "a list with at least the program");
  if (out.cwd.empty()) return json::wrong(at / "cwd", "a path");
  if (out.cwd.front() != '/') return json::wrong(at / "cwd", "an absolute path");
  DAVIT_ASSIGN(const Value* capabilities, json::object(value, "capabilities", at));
  if (capabilities != nullptr) {
    Capabilities sets;
    At here = at / "capabilities";
    DAVIT_TRY(parse_set(*capabilities, "bounding", here, sets.bounding, out.warnings));
    DAVIT_TRY(parse_set(*capabilities, "effective", here, sets.effective, out.warnings));
    DAVIT_TRY(parse_set(*capabilities, "inheritable", here, sets.inheritable, out.warnings));
    DAVIT_TRY(parse_set(*capabilities, "permitted", here, sets.permitted, out.warnings));
    DAVIT_TRY(parse_set(*capabilities, "ambient", here, sets.ambient, out.warnings));
    out.capabilities = sets;
  }
  DAVIT_TRY(parse_rlimits(value, at, out.rlimits));
  DAVIT_ASSIGN(out.scheduling, parse_scheduling(value, at));
  return out;
}

Result<ProcessSpec> parse_process(std::string_view text) {
  DAVIT_ASSIGN(json::Document document, json::parse(text));
  return parse_process(document, json::At{"process"});
}

std::vector<std::string> capability_names() {
  std::vector<std::string> out;
  for (const char* name : kCapabilities) out.push_back(std::string("CAP_") + name);
  return out;
}

}  // namespace davit::oci
