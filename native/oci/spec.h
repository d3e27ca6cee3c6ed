// config.json of the OCI runtime spec 1.3, parsed into what the executor uses. Unknown members are
// ignored, as the spec demands; what is known and ill-formed is EINVAL that names the member.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "native/kernel/result.h"
#include "native/oci/rdt.h"
#include "native/oci/resources.h"
#include "native/oci/scheduling.h"
#include "native/oci/seccomp.h"

namespace davit::oci {

struct User {
  uid_t uid = 0;
  gid_t gid = 0;
  std::optional<std::uint32_t> umask;
  std::vector<gid_t> additional_gids;
};

// One bit per capability number.
struct Capabilities {
  std::uint64_t bounding = 0, effective = 0, inheritable = 0, permitted = 0, ambient = 0;
};

struct Rlimit {
  int resource = 0;
  std::string name;
  std::uint64_t soft = 0, hard = 0;
};

struct ProcessSpec {
  bool terminal = false;
  std::uint16_t console_rows = 0, console_columns = 0;
  User user;
  std::vector<std::string> args, env;
  std::string cwd = "/";
  std::optional<Capabilities> capabilities;
  std::vector<Rlimit> rlimits;
  bool no_new_privileges = false;
  std::optional<std::int64_t> oom_score_adj;
  std::string apparmor_profile, selinux_label;
  Scheduling scheduling;
  std::vector<std::string> warnings;  // of what was read and cannot be done
};

struct Namespace {
  int flag = 0;  // CLONE_NEW*
  std::string path;
};

struct IdMapping {
  std::uint32_t container = 0, host = 0, size = 0;
};

struct Mount {
  std::string destination, type, source;
  std::vector<std::string> options;
  std::vector<IdMapping> uid_mappings, gid_mappings;
};

struct Device {
  std::string path;
  char type = 'c';  // c, b, p
  std::int64_t major = 0, minor = 0;
  mode_t mode = 0666;
  uid_t uid = 0;
  gid_t gid = 0;
};

struct NetDevice {
  std::string host_name, name;  // there and in the container
};

struct Hook {
  std::string path;
  std::vector<std::string> args, env;
  std::optional<std::int64_t> timeout;  // seconds
};

struct Hooks {
  std::vector<Hook> prestart, create_runtime, create_container, start_container, poststart,
      poststop;
};

struct TimeOffset {
  std::int64_t seconds = 0, nanoseconds = 0;
};

struct Spec {
  std::string oci_version, hostname, domainname;
  std::string root_path = "rootfs";
  bool root_readonly = false;
  ProcessSpec process;
  std::vector<Mount> mounts;
  Hooks hooks;
  std::map<std::string, std::string> annotations;

  std::vector<Namespace> namespaces;
  std::vector<IdMapping> uid_mappings, gid_mappings;
  std::map<std::string, TimeOffset> time_offsets;
  std::vector<Device> devices;
  std::vector<NetDevice> net_devices;
  std::string cgroups_path;
  Resources resources;
  std::optional<SeccompFilter> seccomp;
  std::vector<std::string> masked_paths, readonly_paths;
  std::vector<std::pair<std::string, std::string>> sysctl;
  std::string rootfs_propagation, mount_label;
  std::optional<std::uint64_t> personality;
  std::optional<MemoryPolicy> memory_policy;
  std::optional<RdtSpec> rdt;

  const Namespace* find_namespace(int flag) const;
  bool new_namespace(int flag) const;
};

Result<Spec> parse_spec(std::string_view json);
Result<ProcessSpec> parse_process(std::string_view json);
Result<ProcessSpec> parse_process(const json::Value& value, const json::At& at);

// As the kernel's uid_map holds them.
std::string map_text(const std::vector<IdMapping>& mappings);

// The number of "CAP_CHOWN"; -1 for a name that is not known.
int capability_number(std::string_view name);

// What config.json may name: all of them, in no special order.
std::vector<std::string> capability_names();
std::vector<std::string> hook_names();
std::vector<std::string> namespace_names();

}  // namespace davit::oci
