#include "native/oci/cgroup/devices.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include "native/kernel/file.h"

namespace davit::oci {
namespace {

DeviceRule allowed(char type, std::optional<std::int64_t> major, std::optional<std::int64_t> minor,
                   const char* access) {
  return {true, type, major, minor, access};
}

// runtime-spec, "Default Devices", and what runc adds to every list.
std::vector<DeviceRule> default_devices() {
  return {
      allowed('c', {}, {}, "m"),    allowed('b', {}, {}, "m"), allowed('c', 1, 3, "rwm"),
      allowed('c', 1, 5, "rwm"),    allowed('c', 1, 7, "rwm"), allowed('c', 1, 8, "rwm"),
      allowed('c', 1, 9, "rwm"),    allowed('c', 5, 0, "rwm"), allowed('c', 5, 1, "rwm"),
      allowed('c', 136, {}, "rwm"), allowed('c', 5, 2, "rwm"),
  };
}

bool everything(const DeviceRule& rule) {
  return rule.type == 'a' && !rule.major && !rule.minor;
}

bool same_device(const DeviceRule& a, const DeviceRule& b) {
  return a.type == b.type && a.major == b.major && a.minor == b.minor;
}

void add_access(DeviceRule& rule, const std::string& access) {
  for (char c : access)
    if (rule.access.find(c) == std::string::npos) rule.access.push_back(c);
}

std::string number(const std::optional<std::int64_t>& value) {
  return value ? std::to_string(*value) : "*";
}

// Whether some device and access is meant by both.
bool overlap(const DeviceRule& a, const DeviceRule& b) {
  auto both = [](const auto& x, const auto& y) { return !x || !y || *x == *y; };
  return (a.type == b.type || a.type == 'a' || b.type == 'a') && both(a.major, b.major) &&
         both(a.minor, b.minor) && a.access.find_first_of(b.access) != std::string::npos;
}

Result<> apply(DevicePolicy& policy, const DeviceRule& rule) {
  if (everything(rule)) {
    policy.allow_by_default = rule.allow;
    policy.exceptions.clear();
    return {};
  }
  auto same = std::find_if(policy.exceptions.begin(), policy.exceptions.end(),
                           [&](const DeviceRule& e) { return same_device(e, rule); });
  if (rule.allow != policy.allow_by_default) {
    if (same != policy.exceptions.end())
      add_access(*same, rule.access);
    else
      policy.exceptions.push_back(rule);
  } else if (same != policy.exceptions.end()) {
    for (char c : rule.access) std::erase(same->access, c);
    if (same->access.empty()) policy.exceptions.erase(same);
  }
  if (rule.allow || policy.allow_by_default) return {};
  for (const DeviceRule& other : policy.exceptions)
    if (overlap(other, rule))
      return fail(EINVAL, std::string("linux.resources.devices: cannot deny ") + rule.type + " " +
                              number(rule.major) + ":" + number(rule.minor) +
                              ", a wider rule before it allows it");
  return {};
}

Result<> write_line(int fd, const std::string& line) {
  if (::write(fd, line.data(), line.size()) == static_cast<ssize_t>(line.size())) return {};
  return fail_errno("device rule \"" + line + "\"");
}

}  // namespace

Result<DevicePolicy> device_policy(const std::vector<DeviceRule>& rules) {
  DevicePolicy policy;
  for (const DeviceRule& rule : rules) DAVIT_TRY(apply(policy, rule));
  for (const DeviceRule& rule : default_devices()) DAVIT_TRY(apply(policy, rule));
  return policy;
}

Result<> apply_devices_v1(int dir, const DevicePolicy& policy) {
  const char* reset = policy.allow_by_default ? "devices.allow" : "devices.deny";
  const char* except = policy.allow_by_default ? "devices.deny" : "devices.allow";
  DAVIT_TRY(kernel::write_value(dir, reset, "a"));
  if (policy.exceptions.empty()) return {};
  DAVIT_ASSIGN(Fd file, kernel::open_at(dir, except, O_WRONLY));
  for (const DeviceRule& rule : policy.exceptions) {
    std::string numbers = " " + number(rule.major) + ":" + number(rule.minor) + " " + rule.access;
    // The kernel reads "a" as "everything" whatever follows it.
    for (char type : rule.type == 'a' ? std::string("bc") : std::string(1, rule.type))
      DAVIT_TRY(write_line(file.get(), type + numbers));
  }
  return {};
}

}  // namespace davit::oci
