#include "native/oci/features.h"

#include <seccomp.h>

#include <algorithm>
#include <vector>

#include "native/oci/json_text.h"
#include "native/oci/mount_options.h"
#include "native/oci/seccomp.h"
#include "native/oci/spec.h"

namespace davit::oci {
namespace {

constexpr char kOldestSpec[] = "1.0.0";
constexpr char kNewestSpec[] = "1.3.0";

std::string list(std::vector<std::string> names) {
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  std::string out = "[";
  for (const std::string& name : names) out += (out.size() > 1 ? "," : "") + json::quote(name);
  return out + ']';
}

std::string seccomp_json() {
  const SeccompNames names = seccomp_names();
  const std::string flags = list(names.flags);
  return R"({"enabled":true,"actions":)" + list(names.actions) + R"(,"operators":)" +
         list(names.operators) + R"(,"archs":)" + list(names.architectures) + R"(,"knownFlags":)" +
         flags + R"(,"supportedFlags":)" + flags + '}';
}

std::string linux_json() {
  return R"({"namespaces":)" + list(namespace_names()) + R"(,"capabilities":)" +
         list(capability_names()) +
         R"(,"cgroup":{"v1":true,"v2":true,"systemd":true,"systemdUser":false,"rdma":true})" +
         R"(,"seccomp":)" + seccomp_json() +
         R"(,"apparmor":{"enabled":true},"selinux":{"enabled":true},"intelRdt":{"enabled":true,"schemata":true,"monitoring":true},"netDevices":{"enabled":true},"memoryPolicy":{"modes":["MPOL_BIND","MPOL_DEFAULT","MPOL_INTERLEAVE","MPOL_LOCAL","MPOL_PREFERRED","MPOL_PREFERRED_MANY","MPOL_WEIGHTED_INTERLEAVE"],"flags":["MPOL_F_NUMA_BALANCING","MPOL_F_RELATIVE_NODES","MPOL_F_STATIC_NODES"]})" +
         R"(,"mountExtensions":{"idmap":{"enabled":true}}})";
}

std::string seccomp_version() {
  const scmp_version* version = ::seccomp_version();
  return std::to_string(version->major) + '.' + std::to_string(version->minor) + '.' +
         std::to_string(version->micro);
}

}  // namespace

std::string features_json(std::string_view version) {
  return std::string(R"({"ociVersionMin":")") + kOldestSpec + R"(","ociVersionMax":")" +
         kNewestSpec + R"(","hooks":)" + list(hook_names()) + R"(,"mountOptions":)" +
         list(mount_option_names()) + R"(,"linux":)" + linux_json() +
         R"(,"potentiallyUnsafeConfigAnnotations":["org.systemd.property."],"annotations":{"io.github.seccomp.libseccomp.version":)" +
         json::quote(seccomp_version()) + R"(,"org.davit.oci.version":)" + json::quote(version) +
         "}}";
}

}  // namespace davit::oci
