// spec: an example config.json to start from.
#include <fcntl.h>
#include <unistd.h>

#include "native/kernel/file.h"
#include "shim/oci/commands.h"

namespace davit::oci_cli {
namespace {

std::string capability_sets() {
  std::string out;
  for (const char* set : {"bounding", "effective", "permitted"}) {
    if (!out.empty()) out += ",\n";
    out += std::string("      \"") + set +
           R"(": ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"])";
  }
  return out;
}

std::string id_mapping(const char* name, unsigned id) {
  return std::string(",\n    \"") + name + R"(": [{"containerID": 0, "hostID": )" +
         std::to_string(id) + R"(, "size": 1}])";
}

std::string config_json(bool rootless) {
  return R"({
  "ociVersion": "1.3.0",
  "process": {
    "terminal": true,
    "user": {"uid": 0, "gid": 0},
    "args": ["sh"],
    "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
    "cwd": "/",
    "capabilities": {
)" + capability_sets() +
         R"(
    },
    "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
    "noNewPrivileges": true
  },
  "root": {"path": "rootfs", "readonly": true},
  "hostname": "davit",
  "mounts": [
    {"destination": "/proc", "type": "proc", "source": "proc"},
    {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
      "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
    {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
      "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620")" +
         (rootless ? "" : R"(, "gid=5")") + R"(]},
    {"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
      "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]},
    {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue",
      "options": ["nosuid", "noexec", "nodev"]},
    )" +
         (rootless ? R"({"destination": "/sys", "type": "none", "source": "/sys",
      "options": ["rbind", "nosuid", "noexec", "nodev", "ro"]})"
                   : R"({"destination": "/sys", "type": "sysfs", "source": "sysfs",
      "options": ["nosuid", "noexec", "nodev", "ro"]},
    {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
      "options": ["nosuid", "noexec", "nodev", "relatime", "ro"]})") +
         R"(
  ],
  "linux": {)" +
         (rootless ? "" : R"(
    "resources": {"devices": [{"allow": false, "access": "rwm"}]},)") +
         R"(
    "namespaces": [{"type": "pid"}, )" +
         (rootless ? R"({"type": "user"})" : R"({"type": "network"})") +
         R"(, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}, {"type": "cgroup"}])" +
         (rootless ? id_mapping("uidMappings", ::geteuid()) + id_mapping("gidMappings", ::getegid())
                   : "") +
         R"(,
    "maskedPaths": ["/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys",
      "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug",
      "/sys/firmware", "/proc/scsi"],
    "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
  }
}
)";
}

}  // namespace

Result<int> spec_command(const Call& call) {
  std::string bundle = call.options.has("bundle") ? call.options.get("bundle") : ".";
  if (::chdir(bundle.c_str()) != 0) return fail_errno("chdir " + bundle);
  if (::access("config.json", F_OK) == 0)
    return fail(0, "File config.json exists. Remove it first");
  constexpr mode_t kMode = 0666;
  DAVIT_TRY(kernel::replace_file(AT_FDCWD, "config.json", config_json(call.options.has("rootless")),
                                 kMode));
  return 0;
}

}  // namespace davit::oci_cli
