#include "native/oci/spec.h"

#include <net/if.h>
#include <sched.h>

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

namespace davit::oci {
namespace {

using json::At;
using json::Value;

Result<> parse_mappings(const Value& linux_part, const char* name, const At& at,
                        std::vector<IdMapping>& out) {
  DAVIT_ASSIGN(const Value* list, json::array(linux_part, name, at));
  if (list == nullptr) return {};
  for (const Value& item : list->GetArray()) {
    At here = (at / name)[out.size()];
    if (!item.IsObject()) return json::wrong(here, "an object");
    std::optional<std::uint32_t> container, host, size;
    DAVIT_TRY(json::get(item, "containerID", here, container));
    DAVIT_TRY(json::get(item, "hostID", here, host));
    DAVIT_TRY(json::get(item, "size", here, size));
    if (size.value_or(0) == 0) return json::wrong(here / "size", "above 0");
    out.push_back({container.value_or(0), host.value_or(0), *size});
  }
  return {};
}

Result<> parse_mounts(const Value& config, std::vector<Mount>& out) {
  At at{"mounts"};
  DAVIT_ASSIGN(const Value* list, json::array(config, "mounts", At{}));
  if (list == nullptr) return {};
  out.reserve(list->Size());
  for (const Value& item : list->GetArray()) {
    At here = at[out.size()];
    if (!item.IsObject()) return json::wrong(here, "an object");
    Mount mount;
    DAVIT_TRY(json::get(item, "destination", here, mount.destination));
    DAVIT_TRY(json::get(item, "type", here, mount.type));
    DAVIT_TRY(json::get(item, "source", here, mount.source));
    DAVIT_TRY(json::get(item, "options", here, mount.options));
    if (mount.destination.empty()) return json::wrong(here / "destination", "a path");
    DAVIT_TRY(parse_mappings(item, "uidMappings", here, mount.uid_mappings));
    DAVIT_TRY(parse_mappings(item, "gidMappings", here, mount.gid_mappings));
    if (mount.uid_mappings.empty() != mount.gid_mappings.empty())
      return json::wrong(here / "uidMappings", "given together with gidMappings");
    out.push_back(std::move(mount));
  }
  return {};
}

Result<> parse_hook_list(const Value& hooks, const char* name, std::vector<Hook>& out) {
  At at = At{"hooks"} / name;
  DAVIT_ASSIGN(const Value* list, json::array(hooks, name, At{"hooks"}));
  if (list == nullptr) return {};
  for (const Value& item : list->GetArray()) {
    At here = at[out.size()];
    if (!item.IsObject()) return json::wrong(here, "an object");
    Hook hook;
    DAVIT_TRY(json::get(item, "path", here, hook.path));
    DAVIT_TRY(json::get(item, "args", here, hook.args));
    DAVIT_TRY(json::get(item, "env", here, hook.env));
    DAVIT_TRY(json::get(item, "timeout", here, hook.timeout));
    if (!hook.path.starts_with('/')) return json::wrong(here / "path", "an absolute path");
    if (hook.timeout && *hook.timeout <= 0) return json::wrong(here / "timeout", "above 0");
    out.push_back(std::move(hook));
  }
  return {};
}

struct HookKind {
  const char* name;
  std::vector<Hook> Hooks::* list;
};
constexpr HookKind kHookKinds[] = {
    {"prestart", &Hooks::prestart},
    {"createRuntime", &Hooks::create_runtime},
    {"createContainer", &Hooks::create_container},
    {"startContainer", &Hooks::start_container},
    {"poststart", &Hooks::poststart},
    {"poststop", &Hooks::poststop},
};

Result<> parse_hooks(const Value& config, Hooks& out) {
  DAVIT_ASSIGN(const Value* hooks, json::object(config, "hooks", At{}));
  if (hooks == nullptr) return {};
  for (const HookKind& kind : kHookKinds)
    DAVIT_TRY(parse_hook_list(*hooks, kind.name, out.*kind.list));
  return {};
}

struct NamespaceKind {
  const char* name;
  int flag;
};
constexpr NamespaceKind kNamespaceKinds[] = {
    {"pid", CLONE_NEWPID},       {"network", CLONE_NEWNET}, {"mount", CLONE_NEWNS},
    {"ipc", CLONE_NEWIPC},       {"uts", CLONE_NEWUTS},     {"user", CLONE_NEWUSER},
    {"cgroup", CLONE_NEWCGROUP}, {"time", CLONE_NEWTIME},
};

Result<> parse_namespaces(const Value& linux_part, const At& at, std::vector<Namespace>& out) {
  DAVIT_ASSIGN(const Value* list, json::array(linux_part, "namespaces", at));
  if (list == nullptr) return {};
  for (const Value& item : list->GetArray()) {
    At here = (at / "namespaces")[out.size()];
    if (!item.IsObject()) return json::wrong(here, "an object");
    std::string type;
    Namespace one;
    DAVIT_TRY(json::get(item, "type", here, type));
    DAVIT_TRY(json::get(item, "path", here, one.path));
    for (const NamespaceKind& kind : kNamespaceKinds)
      if (type == kind.name) one.flag = kind.flag;
    if (one.flag == 0) return json::wrong(here / "type", "a known namespace");
    for (const Namespace& other : out)
      if (other.flag == one.flag) return json::wrong(here / "type", "given once only");
    out.push_back(std::move(one));
  }
  return {};
}

Result<> parse_devices(const Value& linux_part, const At& at, std::vector<Device>& out) {
  DAVIT_ASSIGN(const Value* list, json::array(linux_part, "devices", at));
  if (list == nullptr) return {};
  for (const Value& item : list->GetArray()) {
    At here = (at / "devices")[out.size()];
    if (!item.IsObject()) return json::wrong(here, "an object");
    Device device;
    std::string type;
    std::optional<std::int64_t> major, minor;
    std::optional<std::uint32_t> mode, uid, gid;
    DAVIT_TRY(json::get(item, "path", here, device.path));
    DAVIT_TRY(json::get(item, "type", here, type));
    DAVIT_TRY(json::get(item, "major", here, major));
    DAVIT_TRY(json::get(item, "minor", here, minor));
    DAVIT_TRY(json::get(item, "fileMode", here, mode));
    DAVIT_TRY(json::get(item, "uid", here, uid));
    DAVIT_TRY(json::get(item, "gid", here, gid));
    if (!device.path.starts_with('/')) return json::wrong(here / "path", "an absolute path");
    if (type != "c" && type != "b" && type != "u" && type != "p")
      return json::wrong(here / "type", "one of c, b, u, p");
    device.type = type == "u" ? 'c' : type[0];
    device.major = major.value_or(0);
    device.minor = minor.value_or(0);
    device.mode = mode.value_or(0666) & 07777;
    device.uid = uid.value_or(0);
    device.gid = gid.value_or(0);
    out.push_back(std::move(device));
  }
  return {};
}

Result<> parse_sysctl(const Value& linux_part, const At& at,
                      std::vector<std::pair<std::string, std::string>>& out) {
  DAVIT_ASSIGN(const Value* sysctl, json::object(linux_part, "sysctl", at));
  if (sysctl == nullptr) return {};
  for (const auto& member : sysctl->GetObject()) {
    if (!member.value.IsString())
      return json::wrong(at / "sysctl" / member.name.GetString(), "a string");
    out.emplace_back(member.name.GetString(), member.value.GetString());
  }
  return {};
}

Result<> parse_time_offsets(const Value& linux_part, const At& at,
                            std::map<std::string, TimeOffset>& out) {
  DAVIT_ASSIGN(const Value* offsets, json::object(linux_part, "timeOffsets", at));
  if (offsets == nullptr) return {};
  for (const auto& member : offsets->GetObject()) {
    std::string clock = member.name.GetString();
    At here = at / "timeOffsets" / clock.c_str();
    if (clock != "monotonic" && clock != "boottime") return json::wrong(here, "a known clock");
    if (!member.value.IsObject()) return json::wrong(here, "an object");
    std::optional<std::int64_t> seconds, nanoseconds;
    DAVIT_TRY(json::get(member.value, "secs", here, seconds));
    DAVIT_TRY(json::get(member.value, "nanosecs", here, nanoseconds));
    out[clock] = {seconds.value_or(0), nanoseconds.value_or(0)};
  }
  return {};
}

// What the kernel takes for the name of a device; its own numbering, %d, is for the new one only.
bool is_device_name(const std::string& name, bool may_number) {
  std::size_t percent = name.find('%');
  if (percent != std::string::npos &&
      (!may_number || name.compare(percent, std::string::npos, "%d") != 0))
    return false;
  return !name.empty() && name.size() < IFNAMSIZ && name != "." && name != ".." &&
         name.find_first_of("/: \t\n") == std::string::npos;
}

Result<> parse_net_devices(const Value& linux_part, const At& at, std::vector<NetDevice>& out) {
  DAVIT_ASSIGN(const Value* devices, json::object(linux_part, "netDevices", at));
  if (devices == nullptr) return {};
  for (const auto& member : devices->GetObject()) {
    NetDevice device;
    device.host_name.assign(member.name.GetString(), member.name.GetStringLength());
    At here = at / "netDevices" / device.host_name.c_str();
    if (!is_device_name(device.host_name, false)) return json::wrong(here, "a device's name");
    if (!member.value.IsObject()) return json::wrong(here, "an object");
    DAVIT_TRY(json::get(member.value, "name", here, device.name));
    if (device.name.empty()) device.name = device.host_name;
    if (!is_device_name(device.name, true)) return json::wrong(here / "name", "a device's name");
    out.push_back(std::move(device));
  }
  return {};
}

Result<> parse_personality(const Value& linux_part, const At& at, Spec& out) {
  DAVIT_ASSIGN(const Value* personality, json::object(linux_part, "personality", at));
  if (personality == nullptr) return {};
  std::string domain;
  DAVIT_TRY(json::get(*personality, "domain", at / "personality", domain));
  std::vector<std::string> flags;
  DAVIT_TRY(json::get(*personality, "flags", at / "personality", flags));
  if (!flags.empty()) return json::wrong(at / "personality" / "flags", "empty");
  if (domain == "LINUX")
    out.personality = 0;
  else if (domain == "LINUX32")
    out.personality = 8;  // PER_LINUX32
  else
    return json::wrong(at / "personality" / "domain", "LINUX or LINUX32");
  return {};
}

Result<> parse_linux(const Value& config, Spec& out) {
  DAVIT_ASSIGN(const Value* part, json::object(config, "linux", At{}));
  if (part == nullptr) return {};
  At at{"linux"};
  DAVIT_TRY(parse_namespaces(*part, at, out.namespaces));
  DAVIT_TRY(parse_mappings(*part, "uidMappings", at, out.uid_mappings));
  DAVIT_TRY(parse_mappings(*part, "gidMappings", at, out.gid_mappings));
  DAVIT_TRY(parse_time_offsets(*part, at, out.time_offsets));
  DAVIT_TRY(parse_devices(*part, at, out.devices));
  DAVIT_TRY(json::get(*part, "cgroupsPath", at, out.cgroups_path));
  DAVIT_TRY(json::get(*part, "maskedPaths", at, out.masked_paths));
  DAVIT_TRY(json::get(*part, "readonlyPaths", at, out.readonly_paths));
  DAVIT_TRY(json::get(*part, "rootfsPropagation", at, out.rootfs_propagation));
  DAVIT_TRY(json::get(*part, "mountLabel", at, out.mount_label));
  DAVIT_TRY(parse_sysctl(*part, at, out.sysctl));
  DAVIT_TRY(parse_personality(*part, at, out));
  DAVIT_ASSIGN(const Value* resources, json::object(*part, "resources", at));
  if (resources != nullptr) {
    DAVIT_ASSIGN(out.resources, parse_resources(*resources, at / "resources"));
  }
  DAVIT_ASSIGN(const Value* seccomp, json::object(*part, "seccomp", at));
  if (seccomp != nullptr) {
    DAVIT_ASSIGN(out.seccomp, compile_seccomp(*seccomp, at / "seccomp"));
  }
  DAVIT_ASSIGN(out.memory_policy, parse_memory_policy(*part, at));
  DAVIT_TRY(parse_net_devices(*part, at, out.net_devices));
  DAVIT_ASSIGN(const Value* rdt, json::object(*part, "intelRdt", at));
  if (rdt != nullptr) {
    DAVIT_ASSIGN(out.rdt, parse_rdt(*rdt, at / "intelRdt"));
  }
  return {};
}

}  // namespace

std::string map_text(const std::vector<IdMapping>& mappings) {
  std::string text;
  for (const IdMapping& one : mappings)
    text += std::to_string(one.container) + ' ' + std::to_string(one.host) + ' ' +
            std::to_string(one.size) + '\n';
  return text;
}

const Namespace* Spec::find_namespace(int flag) const {
  for (const Namespace& one : namespaces)
    if (one.flag == flag) return &one;
  return nullptr;
}

bool Spec::new_namespace(int flag) const {
  const Namespace* one = find_namespace(flag);
  return one != nullptr && one->path.empty();
}

Result<Spec> parse_spec(std::string_view text) {
  DAVIT_ASSIGN(json::Document config, json::parse(text));
  Spec out;
  At top;
  DAVIT_TRY(json::get(config, "ociVersion", top, out.oci_version));
  DAVIT_TRY(json::get(config, "hostname", top, out.hostname));
  DAVIT_TRY(json::get(config, "domainname", top, out.domainname));
  DAVIT_ASSIGN(const Value* root, json::object(config, "root", top));
  if (root == nullptr) return json::wrong(At{"root"}, "an object");
  DAVIT_TRY(json::get(*root, "path", At{"root"}, out.root_path));
  DAVIT_TRY(json::get(*root, "readonly", At{"root"}, out.root_readonly));
  DAVIT_ASSIGN(const Value* process, json::object(config, "process", top));
  if (process == nullptr) return json::wrong(At{"process"}, "an object");
  DAVIT_ASSIGN(out.process, parse_process(*process, At{"process"}));
  DAVIT_TRY(parse_mounts(config, out.mounts));
  DAVIT_TRY(parse_hooks(config, out.hooks));
  DAVIT_ASSIGN(const Value* annotations, json::object(config, "annotations", top));
  if (annotations != nullptr)
    for (const auto& member : annotations->GetObject()) {
      const char* name = member.name.GetString();
      if (!member.value.IsString()) return json::wrong(At{"annotations"} / name, "a string");
      out.annotations[name] = member.value.GetString();
    }
  if (json::find(config, "vm") != nullptr)
    return fail(ENOTSUP, "vm: containers of this runtime share the host's kernel");
  DAVIT_TRY(parse_linux(config, out));
  return out;
}

std::vector<std::string> hook_names() {
  std::vector<std::string> out;
  for (const HookKind& kind : kHookKinds) out.emplace_back(kind.name);
  return out;
}

std::vector<std::string> namespace_names() {
  std::vector<std::string> out;
  for (const NamespaceKind& kind : kNamespaceKinds) out.emplace_back(kind.name);
  return out;
}

}  // namespace davit::oci
