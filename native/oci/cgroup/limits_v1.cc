#include <fcntl.h>
#include <unistd.h>

#include "native/kernel/file.h"
#include "native/oci/cgroup/limits.h"

namespace davit::oci {
namespace {

using kernel::write_value;

template <typename T>
Result<> write_number(int dir, const char* file, const std::optional<T>& value) {
  return value ? write_value(dir, file, std::to_string(*value)) : Result<>();
}

Result<> apply_cpu(int dir, const CpuResources& cpu) {
  // Raising the period first may be refused for the quota that stands, and the reverse: try again.
  bool period_later = false;
  // An idle cgroup has no shares: the kernel refuses them.
  DAVIT_TRY(write_number(dir, "cpu.idle", cpu.idle));
  if (cpu.shares && *cpu.shares != 0 && cpu.idle.value_or(0) == 0) {
    DAVIT_TRY(write_value(dir, "cpu.shares", std::to_string(*cpu.shares)));
    DAVIT_ASSIGN(std::string kept, kernel::read_file(dir, "cpu.shares"));
    // The kernel clamps silently; a limit that is not what was asked for is an error.
    std::uint64_t now = std::strtoull(kept.c_str(), nullptr, 10);
    if (*cpu.shares > now) return fail(EINVAL, "cpu.shares: the maximum is " + std::to_string(now));
    if (*cpu.shares < now) return fail(EINVAL, "cpu.shares: the minimum is " + std::to_string(now));
  }
  if (cpu.period && *cpu.period != 0) {
    auto written = write_value(dir, "cpu.cfs_period_us", std::to_string(*cpu.period));
    if (!written && !(written.error().code == EINVAL && cpu.quota)) return written;
    period_later = !written;
  }
  // A burst may not be above the quota that stands, nor a quota below the burst.
  bool burst_later = cpu.burst && !write_number(dir, "cpu.cfs_burst_us", cpu.burst);
  if (cpu.quota && *cpu.quota != 0)
    DAVIT_TRY(write_value(dir, "cpu.cfs_quota_us", std::to_string(*cpu.quota)));
  if (period_later) DAVIT_TRY(write_value(dir, "cpu.cfs_period_us", std::to_string(*cpu.period)));
  if (burst_later) DAVIT_TRY(write_number(dir, "cpu.cfs_burst_us", cpu.burst));
  if (cpu.realtime_period && *cpu.realtime_period != 0)
    DAVIT_TRY(write_value(dir, "cpu.rt_period_us", std::to_string(*cpu.realtime_period)));
  if (cpu.realtime_runtime && *cpu.realtime_runtime != 0)
    DAVIT_TRY(write_value(dir, "cpu.rt_runtime_us", std::to_string(*cpu.realtime_runtime)));
  return {};
}

Result<> apply_cpuset(int dir, const CpuResources& cpu) {
  if (!cpu.cpus.empty()) DAVIT_TRY(write_value(dir, "cpuset.cpus", cpu.cpus));
  if (!cpu.mems.empty()) DAVIT_TRY(write_value(dir, "cpuset.mems", cpu.mems));
  return {};
}

Result<std::uint64_t> read_number(int dir, const char* file) {
  DAVIT_ASSIGN(std::string text, kernel::read_file(dir, file));
  return std::strtoull(text.c_str(), nullptr, 10);
}

Result<> write_memory_limit(int dir, std::int64_t limit) {
  auto written = write_value(dir, "memory.limit_in_bytes", std::to_string(limit));
  if (written || written.error().code != EBUSY) return written;
  auto usage = read_number(dir, "memory.usage_in_bytes");
  return fail(EBUSY, "memory limit " + std::to_string(limit) + " is below what is in use (" +
                         std::to_string(usage.value_or(0)) + ")");
}

// The kernel holds limit <= memory+swap at every moment, so the order depends on the direction.
Result<> apply_limit_and_swap(int dir, const MemoryResources& memory) {
  constexpr const char* kSwap = "memory.memsw.limit_in_bytes";
  bool has_swap = ::faccessat(dir, kSwap, W_OK, 0) == 0;
  std::int64_t swap = memory.swap.value_or(0);  // 0: leave it
  // Unlimited memory with the swap limit that stood would be refused.
  if (memory.limit == -1 && swap == 0) swap = -1;
  if (swap != 0 && !has_swap) {
    if (memory.swap && *memory.swap > 0 && memory.swap != memory.limit)
      return fail(0,
                  "linux.resources.memory.swap: this kernel does not account swap (boot it with "
                  "swapaccount=1)");
    swap = 0;
  }
  bool limit = memory.limit && *memory.limit != 0;
  if (limit && swap != 0) {
    DAVIT_ASSIGN(std::uint64_t now, read_number(dir, "memory.limit_in_bytes"));
    bool growing = swap == -1 || now < static_cast<std::uint64_t>(swap);
    if (growing) {
      DAVIT_TRY(write_value(dir, kSwap, std::to_string(swap)));
      return write_memory_limit(dir, *memory.limit);
    }
    DAVIT_TRY(write_memory_limit(dir, *memory.limit));
    return write_value(dir, kSwap, std::to_string(swap));
  }
  if (limit) DAVIT_TRY(write_memory_limit(dir, *memory.limit));
  if (swap != 0) DAVIT_TRY(write_value(dir, kSwap, std::to_string(swap)));
  return {};
}

Result<> apply_memory(int dir, const MemoryResources& memory) {
  if (memory.check_before_update && memory.limit && *memory.limit > 0) {
    DAVIT_ASSIGN(std::uint64_t usage, read_number(dir, "memory.usage_in_bytes"));
    if (usage > static_cast<std::uint64_t>(*memory.limit))
      return fail(EBUSY, "memory limit " + std::to_string(*memory.limit) +
                             " is below what is in use (" + std::to_string(usage) + ")");
  }
  DAVIT_TRY(apply_limit_and_swap(dir, memory));
  if (memory.reservation && *memory.reservation != 0)
    DAVIT_TRY(write_value(dir, "memory.soft_limit_in_bytes", std::to_string(*memory.reservation)));
  // memory.kernel was warned of when it was read: kernels since 5.16 have no such limit.
  if (memory.kernel_tcp && *memory.kernel_tcp != 0)
    DAVIT_TRY(
        write_value(dir, "memory.kmem.tcp.limit_in_bytes", std::to_string(*memory.kernel_tcp)));
  if (memory.swappiness) {
    if (*memory.swappiness > 100)
      return fail(EINVAL, "linux.resources.memory.swappiness: must be from 0 to 100");
    DAVIT_TRY(write_value(dir, "memory.swappiness", std::to_string(*memory.swappiness)));
  }
  if (memory.disable_oom_killer) DAVIT_TRY(write_value(dir, "memory.oom_control", "1"));
  return {};
}

// `name` or, with the BFQ scheduler, its other name.
Result<> write_weight(int dir, const char* name, const char* bfq, const std::string& value) {
  bool plain = ::faccessat(dir, name, W_OK, 0) == 0;
  if (!plain && ::faccessat(dir, bfq, W_OK, 0) != 0)
    return fail(ENOTSUP,
                std::string("\"") + name + "\": no I/O scheduler of this kernel has weights");
  return write_value(dir, plain ? name : bfq, value);
}

Result<> apply_devices(int dir, const char* file, const std::vector<BlockDevice>& devices) {
  for (const BlockDevice& device : devices)
    DAVIT_TRY(write_value(dir, file,
                          std::to_string(device.major) + ":" + std::to_string(device.minor) + " " +
                              std::to_string(device.value)));
  return {};
}

Result<> apply_blkio(int dir, const BlockResources& block) {
  if (block.weight && *block.weight != 0)
    DAVIT_TRY(write_weight(dir, "blkio.weight", "blkio.bfq.weight", std::to_string(*block.weight)));
  if (block.leaf_weight && *block.leaf_weight != 0)
    DAVIT_TRY(write_weight(dir, "blkio.leaf_weight", "blkio.bfq.leaf_weight",
                           std::to_string(*block.leaf_weight)));
  for (const BlockDevice& device : block.weight_device) {
    if (device.value == 0) continue;
    std::string text = std::to_string(device.major) + ":" + std::to_string(device.minor) + " " +
                       std::to_string(device.value);
    DAVIT_TRY(write_weight(dir, "blkio.weight_device", "blkio.bfq.weight_device", text));
  }
  for (const BlockDevice& device : block.leaf_weight_device) {
    if (device.value == 0) continue;
    DAVIT_TRY(write_weight(dir, "blkio.leaf_weight_device", "blkio.bfq.leaf_weight_device",
                           std::to_string(device.major) + ":" + std::to_string(device.minor) + " " +
                               std::to_string(device.value)));
  }
  DAVIT_TRY(apply_devices(dir, "blkio.throttle.read_bps_device", block.read_bps));
  DAVIT_TRY(apply_devices(dir, "blkio.throttle.write_bps_device", block.write_bps));
  DAVIT_TRY(apply_devices(dir, "blkio.throttle.read_iops_device", block.read_iops));
  return apply_devices(dir, "blkio.throttle.write_iops_device", block.write_iops);
}

Result<> apply_hugetlb(int dir, const std::vector<HugepageLimit>& limits) {
  for (const HugepageLimit& limit : limits) {
    std::string file = "hugetlb." + limit.page_size + ".limit_in_bytes";
    DAVIT_TRY(write_value(dir, file.c_str(), std::to_string(limit.limit)));
    file = "hugetlb." + limit.page_size + ".rsvd.limit_in_bytes";
    auto reserved = write_value(dir, file.c_str(), std::to_string(limit.limit));
    if (!reserved && reserved.error().code != ENOENT) return reserved;
  }
  return {};
}

}  // namespace

std::vector<std::string_view> controllers_needed(const Resources& resources) {
  auto given = [](const auto& value) { return value && *value != 0; };
  std::vector<std::string_view> needed;
  const CpuResources& cpu = resources.cpu;
  const MemoryResources& memory = resources.memory;
  const BlockResources& block = resources.block;
  if (given(cpu.shares) || given(cpu.quota) || given(cpu.period) || given(cpu.burst) ||
      given(cpu.realtime_runtime) || given(cpu.realtime_period) || given(cpu.idle))
    needed.push_back("cpu");
  if (!cpu.cpus.empty() || !cpu.mems.empty()) needed.push_back("cpuset");
  if (given(memory.limit) || given(memory.reservation) || given(memory.swap) ||
      given(memory.kernel_tcp) || memory.swappiness || memory.disable_oom_killer)
    needed.push_back("memory");
  if (given(resources.pids_limit)) needed.push_back("pids");
  if (given(block.weight) || given(block.leaf_weight) || !block.weight_device.empty() ||
      !block.leaf_weight_device.empty() || !block.read_bps.empty() || !block.write_bps.empty() ||
      !block.read_iops.empty() || !block.write_iops.empty())
    needed.push_back("blkio");
  if (!resources.hugepages.empty()) needed.push_back("hugetlb");
  if (given(resources.net_class_id)) needed.push_back("net_cls");
  if (!resources.net_priorities.empty()) needed.push_back("net_prio");
  if (!resources.rdma.empty()) needed.push_back("rdma");
  return needed;
}

Result<> apply_limits_v1(int dir, std::string_view controller, const Resources& resources) {
  if (controller == "cpu") return apply_cpu(dir, resources.cpu);
  if (controller == "cpuset") return apply_cpuset(dir, resources.cpu);
  if (controller == "memory") return apply_memory(dir, resources.memory);
  if (controller == "blkio") return apply_blkio(dir, resources.block);
  if (controller == "hugetlb") return apply_hugetlb(dir, resources.hugepages);
  if (controller == "pids" && resources.pids_limit && *resources.pids_limit != 0)
    return write_value(dir, "pids.max", pids_value(*resources.pids_limit));
  if (controller == "net_cls") return write_number(dir, "net_cls.classid", resources.net_class_id);
  if (controller == "net_prio") {
    for (const auto& [name, priority] : resources.net_priorities)
      DAVIT_TRY(write_value(dir, "net_prio.ifpriomap", name + " " + std::to_string(priority)));
  }
  if (controller == "rdma")
    for (const RdmaLimit& limit : resources.rdma)
      DAVIT_TRY(write_value(dir, "rdma.max", rdma_line(limit)));
  return {};
}

Result<> inherit_cpuset(int mount, const std::string& path) {
  std::size_t end = 0;
  std::string parent = ".";
  while (end < path.size()) {
    std::size_t begin = path.find_first_not_of('/', end);
    if (begin == std::string::npos) break;
    end = path.find('/', begin);
    if (end == std::string::npos) end = path.size();
    std::string child = path.substr(path.find_first_not_of('/'), end - path.find_first_not_of('/'));
    for (const char* name : {"/cpuset.cpus", "/cpuset.mems"}) {
      DAVIT_ASSIGN(std::string own, kernel::read_file(mount, (child + name).c_str()));
      if (own.find_first_not_of(" \n") != std::string::npos) continue;
      DAVIT_ASSIGN(std::string above, kernel::read_file(mount, (parent + name).c_str()));
      DAVIT_TRY(write_value(mount, (child + name).c_str(), above));
    }
    parent = child;
  }
  return {};
}

}  // namespace davit::oci
