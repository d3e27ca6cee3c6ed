#include "native/oci/resources.h"

#include "native/oci/json.h"

namespace davit::oci {
namespace {

using json::At;
using json::Value;

Result<> parse_devices(const Value& resources, const At& at, std::vector<DeviceRule>& out) {
  DAVIT_ASSIGN(const Value* list, json::array(resources, "devices", at));
  if (list == nullptr) return {};
  for (const Value& item : list->GetArray()) {
    At here = (at / "devices")[out.size()];
    if (!item.IsObject()) return json::wrong(here, "an object");
    DeviceRule rule;
    std::string type;
    DAVIT_TRY(json::get(item, "allow", here, rule.allow));
    DAVIT_TRY(json::get(item, "type", here, type));
    DAVIT_TRY(json::get(item, "major", here, rule.major));
    DAVIT_TRY(json::get(item, "minor", here, rule.minor));
    DAVIT_TRY(json::get(item, "access", here, rule.access));
    if (type.empty()) type = "a";
    if (type != "a" && type != "b" && type != "c" && type != "u")
      return json::wrong(here / "type", "one of a, b, c, u");
    rule.type = type == "u" ? 'c' : type[0];
    // -1 is the older way to say "every number".
    if (rule.major && *rule.major < 0) rule.major.reset();
    if (rule.minor && *rule.minor < 0) rule.minor.reset();
    if (rule.access.empty()) rule.access = "rwm";
    if (rule.access.find_first_not_of("rwm") != std::string::npos)
      return json::wrong(here / "access", "made of r, w and m");
    out.push_back(std::move(rule));
  }
  return {};
}

Result<> parse_cpu(const Value& resources, const At& at, CpuResources& out) {
  DAVIT_ASSIGN(const Value* cpu, json::object(resources, "cpu", at));
  if (cpu == nullptr) return {};
  At here = at / "cpu";
  DAVIT_TRY(json::get(*cpu, "shares", here, out.shares));
  DAVIT_TRY(json::get(*cpu, "quota", here, out.quota));
  DAVIT_TRY(json::get(*cpu, "period", here, out.period));
  DAVIT_TRY(json::get(*cpu, "burst", here, out.burst));
  DAVIT_TRY(json::get(*cpu, "realtimeRuntime", here, out.realtime_runtime));
  DAVIT_TRY(json::get(*cpu, "realtimePeriod", here, out.realtime_period));
  DAVIT_TRY(json::get(*cpu, "cpus", here, out.cpus));
  DAVIT_TRY(json::get(*cpu, "mems", here, out.mems));
  return json::get(*cpu, "idle", here, out.idle);
}

Result<> parse_memory(const Value& resources, const At& at, MemoryResources& out,
                      std::vector<std::string>& warnings) {
  DAVIT_ASSIGN(const Value* memory, json::object(resources, "memory", at));
  if (memory == nullptr) return {};
  At here = at / "memory";
  DAVIT_TRY(json::get(*memory, "limit", here, out.limit));
  DAVIT_TRY(json::get(*memory, "reservation", here, out.reservation));
  DAVIT_TRY(json::get(*memory, "swap", here, out.swap));
  DAVIT_TRY(json::get(*memory, "kernel", here, out.kernel));
  DAVIT_TRY(json::get(*memory, "kernelTCP", here, out.kernel_tcp));
  if (out.kernel.value_or(0) > 0)
    warnings.push_back((here / "kernel").path + ": kernels since 5.16 have no such limit");
  std::optional<bool> hierarchy;
  DAVIT_TRY(json::get(*memory, "useHierarchy", here, hierarchy));
  if (hierarchy == false)
    warnings.push_back((here / "useHierarchy").path + ": kernels since 5.11 always account so");
  DAVIT_TRY(json::get(*memory, "swappiness", here, out.swappiness));
  DAVIT_TRY(json::get(*memory, "disableOOMKiller", here, out.disable_oom_killer));
  return json::get(*memory, "checkBeforeUpdate", here, out.check_before_update);
}

Result<> parse_block_devices(const Value& block, const char* list_name, const char* value_name,
                             const At& at, std::vector<BlockDevice>& out) {
  DAVIT_ASSIGN(const Value* list, json::array(block, list_name, at));
  if (list == nullptr) return {};
  for (const Value& item : list->GetArray()) {
    At here = (at / list_name)[out.size()];
    if (!item.IsObject()) return json::wrong(here, "an object");
    std::optional<std::int64_t> major, minor;
    std::optional<std::uint64_t> value;
    DAVIT_TRY(json::get(item, "major", here, major));
    DAVIT_TRY(json::get(item, "minor", here, minor));
    DAVIT_TRY(json::get(item, value_name, here, value));
    out.push_back({major.value_or(0), minor.value_or(0), value.value_or(0)});
  }
  return {};
}

Result<> parse_block(const Value& resources, const At& at, BlockResources& out) {
  DAVIT_ASSIGN(const Value* block, json::object(resources, "blockIO", at));
  if (block == nullptr) return {};
  At here = at / "blockIO";
  DAVIT_TRY(json::get(*block, "weight", here, out.weight));
  DAVIT_TRY(json::get(*block, "leafWeight", here, out.leaf_weight));
  DAVIT_TRY(parse_block_devices(*block, "weightDevice", "weight", here, out.weight_device));
  DAVIT_TRY(
      parse_block_devices(*block, "weightDevice", "leafWeight", here, out.leaf_weight_device));
  DAVIT_TRY(parse_block_devices(*block, "throttleReadBpsDevice", "rate", here, out.read_bps));
  DAVIT_TRY(parse_block_devices(*block, "throttleWriteBpsDevice", "rate", here, out.write_bps));
  DAVIT_TRY(parse_block_devices(*block, "throttleReadIOPSDevice", "rate", here, out.read_iops));
  return parse_block_devices(*block, "throttleWriteIOPSDevice", "rate", here, out.write_iops);
}

Result<> parse_hugepages(const Value& resources, const At& at, std::vector<HugepageLimit>& out) {
  DAVIT_ASSIGN(const Value* list, json::array(resources, "hugepageLimits", at));
  if (list == nullptr) return {};
  for (const Value& item : list->GetArray()) {
    At here = (at / "hugepageLimits")[out.size()];
    if (!item.IsObject()) return json::wrong(here, "an object");
    HugepageLimit limit;
    std::optional<std::uint64_t> value;
    DAVIT_TRY(json::get(item, "pageSize", here, limit.page_size));
    DAVIT_TRY(json::get(item, "limit", here, value));
    // The size becomes part of a file name.
    bool well_formed = !limit.page_size.empty() && limit.page_size.size() < 16 &&
                       limit.page_size.find_first_not_of("0123456789KMGB") == std::string::npos;
    if (!well_formed) return json::wrong(here / "pageSize", "like 2MB or 1GB");
    limit.limit = value.value_or(0);
    out.push_back(std::move(limit));
  }
  return {};
}

Result<> parse_network(const Value& resources, const At& at, Resources& out) {
  DAVIT_ASSIGN(const Value* network, json::object(resources, "network", at));
  if (network == nullptr) return {};
  At here = at / "network";
  DAVIT_TRY(json::get(*network, "classID", here, out.net_class_id));
  DAVIT_ASSIGN(const Value* list, json::array(*network, "priorities", here));
  if (list == nullptr) return {};
  for (const Value& item : list->GetArray()) {
    At entry = (here / "priorities")[out.net_priorities.size()];
    if (!item.IsObject()) return json::wrong(entry, "an object");
    std::string name;
    std::optional<std::uint32_t> priority;
    DAVIT_TRY(json::get(item, "name", entry, name));
    DAVIT_TRY(json::get(item, "priority", entry, priority));
    out.net_priorities.emplace_back(std::move(name), priority.value_or(0));
  }
  return {};
}

Result<> parse_rdma(const Value& resources, const At& at, std::vector<RdmaLimit>& out) {
  DAVIT_ASSIGN(const Value* rdma, json::object(resources, "rdma", at));
  if (rdma == nullptr) return {};
  for (const auto& member : rdma->GetObject()) {
    RdmaLimit limit;
    limit.device.assign(member.name.GetString(), member.name.GetStringLength());
    At here = at / "rdma" / limit.device.c_str();
    if (!member.value.IsObject()) return json::wrong(here, "an object");
    DAVIT_TRY(json::get(member.value, "hcaHandles", here, limit.hca_handles));
    DAVIT_TRY(json::get(member.value, "hcaObjects", here, limit.hca_objects));
    out.push_back(std::move(limit));
  }
  return {};
}

Result<> parse_unified(const Value& resources, const At& at,
                       std::vector<std::pair<std::string, std::string>>& out) {
  DAVIT_ASSIGN(const Value* unified, json::object(resources, "unified", at));
  if (unified == nullptr) return {};
  for (const auto& member : unified->GetObject()) {
    std::string name(member.name.GetString(), member.name.GetStringLength());
    At here = at / "unified" / name.c_str();
    // A name is one file of the cgroup, never a path.
    if (name.empty() || name.find('/') != std::string::npos || name.front() == '.')
      return json::wrong(here, "named after a file of the cgroup");
    if (!member.value.IsString()) return json::wrong(here, "a string");
    out.emplace_back(std::move(name), member.value.GetString());
  }
  return {};
}

}  // namespace

Result<Resources> parse_resources(std::string_view text) {
  DAVIT_ASSIGN(json::Document document, json::parse(text));
  return parse_resources(document, json::At{"linux.resources"});
}

Result<Resources> parse_resources(const json::Value& value, const json::At& at) {
  Resources out;
  DAVIT_TRY(parse_devices(value, at, out.devices));
  DAVIT_TRY(parse_cpu(value, at, out.cpu));
  DAVIT_TRY(parse_memory(value, at, out.memory, out.warnings));
  DAVIT_TRY(parse_block(value, at, out.block));
  DAVIT_TRY(parse_hugepages(value, at, out.hugepages));
  DAVIT_TRY(parse_network(value, at, out));
  DAVIT_TRY(parse_rdma(value, at, out.rdma));
  DAVIT_TRY(parse_unified(value, at, out.unified));
  DAVIT_ASSIGN(const Value* pids, json::object(value, "pids", at));
  if (pids != nullptr) DAVIT_TRY(json::get(*pids, "limit", at / "pids", out.pids_limit));
  return out;
}

}  // namespace davit::oci
