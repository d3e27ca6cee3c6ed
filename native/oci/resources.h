// linux.resources of the OCI runtime spec, parsed. A member without a value was not given.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "native/kernel/result.h"
#include "native/oci/json.h"

namespace davit::oci {

struct DeviceRule {
  bool allow = false;
  char type = 'a';                           // a, b, c
  std::optional<std::int64_t> major, minor;  // none: every number
  std::string access;                        // of "rwm"
};

struct CpuResources {
  std::optional<std::uint64_t> shares, period, burst, realtime_period;
  std::optional<std::int64_t> quota, realtime_runtime, idle;
  std::string cpus, mems;
};

struct MemoryResources {
  std::optional<std::int64_t> limit, reservation, swap, kernel, kernel_tcp;
  std::optional<std::uint64_t> swappiness;
  bool disable_oom_killer = false, check_before_update = false;
};

struct BlockDevice {
  std::int64_t major = 0, minor = 0;
  std::uint64_t value = 0;
};

struct BlockResources {
  std::optional<std::uint64_t> weight, leaf_weight;
  std::vector<BlockDevice> weight_device, leaf_weight_device;
  std::vector<BlockDevice> read_bps, write_bps, read_iops, write_iops;
};

struct HugepageLimit {
  std::string page_size;  // "2MB"
  std::uint64_t limit = 0;
};

struct RdmaLimit {
  std::string device;
  std::optional<std::uint32_t> hca_handles, hca_objects;
};

struct Resources {
  std::vector<std::string> warnings;  // of what no kernel does any more
  std::vector<DeviceRule> devices;
  CpuResources cpu;
  MemoryResources memory;
  BlockResources block;
  std::optional<std::int64_t> pids_limit;
  std::vector<HugepageLimit> hugepages;
  std::vector<RdmaLimit> rdma;
  std::optional<std::uint32_t> net_class_id;
  std::vector<std::pair<std::string, std::uint32_t>> net_priorities;
  std::vector<std::pair<std::string, std::string>> unified;
};

// EINVAL names the member: `linux.resources.memory.limit: must be an integer`.
Result<Resources> parse_resources(std::string_view json);
Result<Resources> parse_resources(const json::Value& value, const json::At& at);

}  // namespace davit::oci
