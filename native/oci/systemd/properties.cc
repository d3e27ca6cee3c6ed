#include "native/oci/systemd/properties.h"

#include <fcntl.h>

#include <algorithm>
#include <charconv>

#include "native/kernel/file.h"
#include "native/oci/cgroup/devices.h"
#include "native/oci/cgroup/limits.h"

namespace davit::oci {
namespace {

using dbus::Properties;

constexpr std::uint64_t kInfinity = UINT64_MAX;

std::uint64_t or_infinity(std::int64_t value) {
  return value < 0 ? kInfinity : static_cast<std::uint64_t>(value);
}

// The whole of `text` as a decimal number.
template <typename T>
bool to_integer(std::string_view text, T& out) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size();
}

// "0-2,5" as systemd takes it: a bit each, the lowest first.
Result<std::vector<std::uint8_t>> bit_mask(const char* member, std::string_view list) {
  constexpr unsigned kMost = 8192;
  std::vector<std::uint8_t> mask;
  for (std::string_view rest = list; !rest.empty();) {
    std::string_view range = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), range.size() + 1));
    std::size_t dash = range.find('-');
    unsigned first = 0, last = 0;
    bool fine = to_integer(range.substr(0, dash), first);
    last = first;
    if (dash != std::string_view::npos) fine = fine && to_integer(range.substr(dash + 1), last);
    if (!fine || last < first || last >= kMost)
      return fail(EINVAL, std::string("linux.resources.cpu.") + member + ": \"" +
                              std::string(list) + "\" is no list of numbers");
    if (mask.size() <= last / 8) mask.resize(last / 8 + 1);
    for (unsigned bit = first; bit <= last; ++bit)
      mask[bit / 8] = static_cast<std::uint8_t>(mask[bit / 8] | 1U << bit % 8);
  }
  return mask;
}

void add_quota(std::int64_t quota, std::uint64_t period, Properties& out) {
  constexpr std::uint64_t kUsualPeriod = 100'000, kSecond = 1'000'000, kPercent = 10'000;
  if (period != 0) out.push_back({"CPUQuotaPeriodUSec", period});
  if (period == 0) period = kUsualPeriod;
  std::uint64_t per_second = kInfinity;
  if (quota > 0) {
    auto product = static_cast<unsigned __int128>(quota) * kSecond / period;
    per_second = product > kInfinity - kPercent ? kInfinity : static_cast<std::uint64_t>(product);
    // systemd counts in whole percents; the cgroup itself gets the exact value afterwards.
    if (per_second != kInfinity) per_second = (per_second + kPercent - 1) / kPercent * kPercent;
  }
  out.push_back({"CPUQuotaPerSecUSec", per_second});
}

Result<> add_cpuset(const CpuResources& cpu, Properties& out) {
  if (!cpu.cpus.empty()) {
    DAVIT_ASSIGN(auto mask, bit_mask("cpus", cpu.cpus));
    out.push_back({"AllowedCPUs", std::move(mask)});
  }
  if (cpu.mems.empty()) return {};
  DAVIT_ASSIGN(auto mask, bit_mask("mems", cpu.mems));
  out.push_back({"AllowedMemoryNodes", std::move(mask)});
  return {};
}

Result<> add_unified(const Resources& resources, Properties& out) {
  constexpr std::pair<const char*, const char*> kNumbers[] = {
      {"cpu.weight", "CPUWeight"}, {"memory.high", "MemoryHigh"},
      {"memory.low", "MemoryLow"}, {"memory.max", "MemoryMax"},
      {"memory.min", "MemoryMin"}, {"memory.swap.max", "MemorySwapMax"},
      {"pids.max", "TasksMax"},
  };
  CpuResources cpuset;
  for (const auto& [file, value] : resources.unified) {
    if (file == "cpuset.cpus") cpuset.cpus = value;
    if (file == "cpuset.mems") cpuset.mems = value;
    if (file == "cpu.max") {
      std::size_t space = value.find(' ');
      std::int64_t quota = -1;
      std::uint64_t period = 0;
      bool fine = value.starts_with("max") || to_integer(value.substr(0, space), quota);
      if (space != std::string::npos) fine = fine && to_integer(value.substr(space + 1), period);
      if (!fine) return fail(EINVAL, "linux.resources.unified.cpu.max: \"" + value + '"');
      add_quota(quota, period, out);
    }
    for (const auto& [name, property] : kNumbers) {
      std::uint64_t number = kInfinity;
      if (file != name) continue;
      if (value != "max" && !to_integer(value, number))
        return fail(EINVAL, "linux.resources.unified." + file + ": \"" + value + '"');
      out.push_back({property, number});
    }
  }
  return add_cpuset(cpuset, out);
}

void add_memory(const MemoryResources& memory, bool unified, Properties& out) {
  if (memory.limit && *memory.limit != 0)
    out.push_back({unified ? "MemoryMax" : "MemoryLimit", or_infinity(*memory.limit)});
  if (!unified) return;
  if (memory.reservation && *memory.reservation != 0)
    out.push_back({"MemoryLow", or_infinity(*memory.reservation)});
  if (!memory.swap || *memory.swap == 0) return;
  // What is inconsistent is refused where the cgroup is written.
  if (*memory.swap < 0)
    out.push_back({"MemorySwapMax", kInfinity});
  else if (memory.limit && *memory.limit > 0 && *memory.swap >= *memory.limit)
    out.push_back({"MemorySwapMax", or_infinity(*memory.swap - *memory.limit)});
}

// What a number is called in /proc/devices; empty when nothing has it.
std::string device_group(std::string_view devices, char type, std::int64_t major) {
  std::size_t blocks = devices.find("Block devices:");
  std::string_view part =
      type == 'b' ? devices.substr(std::min(blocks, devices.size())) : devices.substr(0, blocks);
  while (!part.empty()) {
    std::string_view line = part.substr(0, part.find('\n'));
    part.remove_prefix(std::min(part.size(), line.size() + 1));
    line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
    std::size_t space = line.find(' ');
    std::int64_t number = -1;
    if (space != std::string_view::npos && to_integer(line.substr(0, space), number) &&
        number == major)
      return std::string(line.substr(space + 1));
  }
  return "";
}

// On v1 systemd writes its own list at every reload; on v2 it keeps away from other people's
// programs.
Result<> add_devices(const std::vector<DeviceRule>& rules, Properties& out) {
  DAVIT_ASSIGN(DevicePolicy policy, device_policy(rules));
  dbus::Pairs allowed;
  out.push_back({"DevicePolicy", std::string(policy.allow_by_default ? "auto" : "strict")});
  out.push_back({"DeviceAllow", dbus::Pairs()});  // empties the list
  if (policy.allow_by_default) return {};
  DAVIT_ASSIGN(std::string devices, kernel::read_file(AT_FDCWD, "/proc/devices"));
  for (const DeviceRule& rule : policy.exceptions) {
    for (char type : rule.type == 'a' ? std::string("bc") : std::string(1, rule.type)) {
      std::string kind = type == 'b' ? "block" : "char", name;
      if (rule.major && rule.minor) {
        name =
            "/dev/" + kind + "/" + std::to_string(*rule.major) + ":" + std::to_string(*rule.minor);
      } else if (!rule.major && !rule.minor) {
        name = kind + "-*";
      } else if (rule.major) {
        std::string group = device_group(devices, type, *rule.major);
        if (group.empty()) continue;  // no driver has the number
        name = kind + "-" + group;
      } else {
        continue;  // systemd has no words for a minor number of every driver
      }
      allowed.emplace_back(std::move(name), rule.access);
    }
  }
  out.push_back({"DeviceAllow", std::move(allowed)});
  return {};
}

enum class Type { kText, kBoolean, kSigned, kUnsigned };
struct Annotated {
  const char* name;
  Type type;
};
constexpr Annotated kAnnotated[] = {
    {"CollectMode", Type::kText},         {"KillSignal", Type::kSigned},
    {"RuntimeMaxUSec", Type::kUnsigned},  {"SendSIGHUP", Type::kBoolean},
    {"TimeoutStopUSec", Type::kUnsigned},
};

Result<dbus::Value> annotated_value(const std::string& key, const std::string& text, Type type) {
  std::string_view word = text;
  for (const char* prefix : {"uint64 ", "int32 "})
    if (word.starts_with(prefix)) word.remove_prefix(std::strlen(prefix));
  std::int32_t small = 0;
  std::uint64_t large = 0;
  if (type == Type::kBoolean && (word == "true" || word == "false")) return word == "true";
  if (type == Type::kSigned && to_integer(word, small)) return small;
  if (type == Type::kUnsigned && to_integer(word, large)) return large;
  if (type == Type::kText && word.size() >= 2 && (word[0] == '\'' || word[0] == '"') &&
      word.back() == word[0] && word.find_first_of("'\"\\\n", 1) == word.size() - 1)
    return std::string(word.substr(1, word.size() - 2));
  return fail(EINVAL, "annotation " + key + ": \"" + text + "\" is not a value of its type");
}

}  // namespace

Result<Properties> limit_properties(const Resources& resources, bool unified, bool with_devices) {
  Properties out;
  const CpuResources& cpu = resources.cpu;
  add_memory(resources.memory, unified, out);
  bool idle = cpu.idle && *cpu.idle != 0;
  if (cpu.shares && *cpu.shares != 0 && !idle)
    out.push_back(unified ? dbus::Property{"CPUWeight", cpu_weight(*cpu.shares)}
                          : dbus::Property{"CPUShares", *cpu.shares});
  if (cpu.quota.value_or(0) != 0 || cpu.period.value_or(0) != 0)
    add_quota(cpu.quota.value_or(-1), cpu.period.value_or(0), out);
  if (resources.pids_limit && *resources.pids_limit != 0)
    out.push_back(
        {"TasksMax", *resources.pids_limit > 0 ? or_infinity(*resources.pids_limit) : kInfinity});
  if (unified) {
    DAVIT_TRY(add_cpuset(cpu, out));
    DAVIT_TRY(add_unified(resources, out));
    return out;
  }
  if (resources.block.weight && *resources.block.weight != 0)
    out.push_back({"BlockIOWeight", *resources.block.weight});
  if (with_devices || !resources.devices.empty()) DAVIT_TRY(add_devices(resources.devices, out));
  return out;
}

Result<Properties> annotated_properties(const std::map<std::string, std::string>& annotations) {
  constexpr std::string_view kPrefix = "org.systemd.property.";
  Properties out;
  for (const auto& [key, text] : annotations) {
    if (!key.starts_with(kPrefix)) continue;
    std::string_view name = std::string_view(key).substr(kPrefix.size());
    const auto* known = std::find_if(std::begin(kAnnotated), std::end(kAnnotated),
                                     [&](const Annotated& one) { return one.name == name; });
    if (known == std::end(kAnnotated)) {
      std::string names;
      for (const Annotated& one : kAnnotated)
        names += (names.empty() ? "" : ", ") + std::string(one.name);
      return fail(EPERM, "annotation " + key + ": a container may only set " + names);
    }
    DAVIT_ASSIGN(dbus::Value value, annotated_value(key, text, known->type));
    out.push_back({known->name, std::move(value)});
  }
  return out;
}

}  // namespace davit::oci
