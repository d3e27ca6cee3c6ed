#include <algorithm>

#include "native/kernel/file.h"
#include "native/oci/cgroup/limits.h"

namespace davit::oci {

namespace {

Result<> write_file(int dir, const std::string& file, const std::string& value) {
  auto written = kernel::write_value(dir, file.c_str(), value);
  if (written || written.error().code != ENOENT) return written;
  return fail(ENOENT, "\"" + file + "\" cannot be set: the " + file.substr(0, file.find('.')) +
                          " controller is not enabled for this cgroup");
}

std::string max_or(std::int64_t value) {
  return value < 0 ? "max" : std::to_string(value);
}

// What v1 had and v2 has no equivalent for. Zero, and an unlimited limit, ask for nothing.
Result<> check_expressible(const Resources& resources) {
  auto positive = [](const auto& value) { return value && *value > 0; };
  const char* member = nullptr;
  const CpuResources& cpu = resources.cpu;
  const MemoryResources& memory = resources.memory;
  const BlockResources& block = resources.block;
  if (positive(cpu.realtime_runtime)) member = "cpu.realtimeRuntime";
  if (positive(cpu.realtime_period)) member = "cpu.realtimePeriod";
  if (positive(memory.kernel_tcp)) member = "memory.kernelTCP";
  if (memory.swappiness) member = "memory.swappiness";
  if (memory.disable_oom_killer) member = "memory.disableOOMKiller";
  if (positive(block.leaf_weight)) member = "blockIO.leafWeight";
  for (const BlockDevice& device : block.leaf_weight_device)
    if (device.value != 0) member = "blockIO.weightDevice.leafWeight";
  if (positive(resources.net_class_id)) member = "network.classID";
  if (!resources.net_priorities.empty()) member = "network.priorities";
  if (member == nullptr) return {};
  return fail(ENOTSUP,
              "linux.resources." + std::string(member) + ": cgroup v2 has nothing like it");
}

Result<> apply_cpu(int dir, const CpuResources& cpu) {
  // An idle cgroup has no weight: the kernel refuses one.
  if (cpu.idle) DAVIT_TRY(write_file(dir, "cpu.idle", std::to_string(*cpu.idle)));
  if (cpu.shares && *cpu.shares != 0 && cpu.idle.value_or(0) == 0)
    DAVIT_TRY(write_file(dir, "cpu.weight", std::to_string(cpu_weight(*cpu.shares))));
  // A burst may not be above the quota that stands: the new quota may need it lowered before, or
  // it the new quota.
  bool burst_later =
      cpu.burst && !kernel::write_value(dir, "cpu.max.burst", std::to_string(*cpu.burst));
  bool quota = cpu.quota && *cpu.quota != 0;
  bool period = cpu.period && *cpu.period != 0;
  if (quota || period) {
    std::string value = quota && *cpu.quota > 0 ? std::to_string(*cpu.quota) : "max";
    if (period) value += " " + std::to_string(*cpu.period);
    DAVIT_TRY(write_file(dir, "cpu.max", value));
  }
  if (burst_later) DAVIT_TRY(write_file(dir, "cpu.max.burst", std::to_string(*cpu.burst)));
  if (!cpu.cpus.empty()) DAVIT_TRY(write_file(dir, "cpuset.cpus", cpu.cpus));
  if (!cpu.mems.empty()) DAVIT_TRY(write_file(dir, "cpuset.mems", cpu.mems));
  return {};
}

// runtime-spec gives memory+swap; v2 limits swap alone.
Result<std::optional<std::string>> swap_max(const MemoryResources& memory) {
  if (!memory.swap || *memory.swap == 0) {
    // Unlimited memory takes the swap limit with it, as runc does.
    if (memory.limit == -1) return "max";
    return std::nullopt;
  }
  if (*memory.swap < 0) return "max";
  if (!memory.limit || *memory.limit <= 0)
    return fail(EINVAL, "linux.resources.memory.swap: needs memory.limit");
  if (*memory.swap < *memory.limit)
    return fail(EINVAL, "linux.resources.memory.swap: must not be below memory.limit");
  return std::to_string(*memory.swap - *memory.limit);
}

Result<> apply_memory(int dir, const MemoryResources& memory) {
  if (memory.check_before_update && memory.limit && *memory.limit > 0) {
    DAVIT_ASSIGN(std::string usage, kernel::read_file(dir, "memory.current"));
    if (std::strtoll(usage.c_str(), nullptr, 10) > *memory.limit)
      return fail(EBUSY, "memory limit " + std::to_string(*memory.limit) +
                             " is below what is in use (" + usage.substr(0, usage.find('\n')) +
                             ")");
  }
  DAVIT_ASSIGN(std::optional<std::string> swap, swap_max(memory));
  if (swap) {
    auto written = write_file(dir, "memory.swap.max", *swap);
    // A kernel without swap accounting has nothing to limit.
    if (!written && !(written.error().code == ENOENT && (*swap == "max" || *swap == "0")))
      return written;
  }
  if (memory.limit && *memory.limit != 0)
    DAVIT_TRY(write_file(dir, "memory.max", max_or(*memory.limit)));
  if (memory.reservation && *memory.reservation != 0)
    DAVIT_TRY(write_file(dir, "memory.low", max_or(*memory.reservation)));
  return {};
}

Result<> apply_io(int dir, const BlockResources& block) {
  if (block.weight && *block.weight != 0) {
    auto bfq = kernel::write_value(dir, "io.bfq.weight", std::to_string(*block.weight));
    if (!bfq && bfq.error().code != ENOENT) return bfq;
    if (!bfq)
      DAVIT_TRY(
          write_file(dir, "io.weight", "default " + std::to_string(io_weight(*block.weight))));
  }
  for (const BlockDevice& device : block.weight_device) {
    if (device.value == 0) continue;
    std::string name = std::to_string(device.major) + ":" + std::to_string(device.minor) + " ";
    auto bfq = kernel::write_value(dir, "io.bfq.weight", name + std::to_string(device.value));
    if (!bfq && bfq.error().code != ENOENT) return bfq;
    if (!bfq)
      DAVIT_TRY(write_file(dir, "io.weight", name + std::to_string(io_weight(device.value))));
  }
  auto limit = [&](const char* key, const std::vector<BlockDevice>& devices) -> Result<> {
    for (const BlockDevice& device : devices)
      DAVIT_TRY(write_file(dir, "io.max",
                           std::to_string(device.major) + ":" + std::to_string(device.minor) + " " +
                               key + "=" +
                               (device.value == 0 ? "max" : std::to_string(device.value))));
    return {};
  };
  DAVIT_TRY(limit("rbps", block.read_bps));
  DAVIT_TRY(limit("wbps", block.write_bps));
  DAVIT_TRY(limit("riops", block.read_iops));
  return limit("wiops", block.write_iops);
}

}  // namespace

std::string rdma_line(const RdmaLimit& limit) {
  auto number = [](const std::optional<std::uint32_t>& value) {
    return value ? std::to_string(*value) : std::string("max");
  };
  return limit.device + " hca_handle=" + number(limit.hca_handles) +
         " hca_object=" + number(limit.hca_objects);
}

std::string pids_value(std::int64_t limit) {
  return limit > 0 ? std::to_string(limit) : "max";
}

std::uint64_t cpu_weight(std::uint64_t shares) {
  std::uint64_t clamped = std::clamp<std::uint64_t>(shares, 2, 262144);
  return 1 + ((clamped - 2) * 9999) / 262142;
}

std::uint64_t io_weight(std::uint64_t weight) {
  std::uint64_t clamped = std::clamp<std::uint64_t>(weight, 10, 1000);
  return 1 + ((clamped - 10) * 9999) / 990;
}

Result<> apply_limits_v2(int dir, const Resources& resources) {
  DAVIT_TRY(check_expressible(resources));
  DAVIT_TRY(apply_memory(dir, resources.memory));
  DAVIT_TRY(apply_cpu(dir, resources.cpu));
  DAVIT_TRY(apply_io(dir, resources.block));
  if (resources.pids_limit && *resources.pids_limit != 0)
    DAVIT_TRY(write_file(dir, "pids.max", pids_value(*resources.pids_limit)));
  for (const HugepageLimit& limit : resources.hugepages) {
    DAVIT_TRY(write_file(dir, "hugetlb." + limit.page_size + ".max", std::to_string(limit.limit)));
    std::string reserved = "hugetlb." + limit.page_size + ".rsvd.max";
    auto written = kernel::write_value(dir, reserved.c_str(), std::to_string(limit.limit));
    if (!written && written.error().code != ENOENT) return written;
  }
  for (const RdmaLimit& limit : resources.rdma)
    DAVIT_TRY(write_file(dir, "rdma.max", rdma_line(limit)));
  for (const auto& [file, value] : resources.unified) DAVIT_TRY(write_file(dir, file, value));
  return {};
}

}  // namespace davit::oci
