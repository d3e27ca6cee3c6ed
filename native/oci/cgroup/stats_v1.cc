#include <unistd.h>

#include "native/oci/cgroup/cgroup.h"
#include "native/oci/cgroup/stats_files.h"

namespace davit::oci {
namespace {

MemoryEntry memory_entry(const std::string& prefix) {
  return {read_number(prefix + ".limit_in_bytes"), read_number(prefix + ".usage_in_bytes"),
          read_number(prefix + ".max_usage_in_bytes"), read_number(prefix + ".failcnt")};
}

void read_memory(const std::string& path, StatsV1& stats) {
  stats.has_memory = true;
  stats.memory = read_counters(path + "/memory.stat");
  stats.usage = memory_entry(path + "/memory");
  stats.has_swap = ::access((path + "/memory.memsw.usage_in_bytes").c_str(), R_OK) == 0;
  if (stats.has_swap) stats.swap = memory_entry(path + "/memory.memsw");
  stats.kernel = memory_entry(path + "/memory.kmem");
  stats.kernel_tcp = memory_entry(path + "/memory.kmem.tcp");
  Counters oom = read_counters(path + "/memory.oom_control");
  stats.oom_kill_disable = counter(oom, "oom_kill_disable");
  stats.under_oom = counter(oom, "under_oom");
  stats.oom_kill = counter(oom, "oom_kill");
}

void read_cpuacct(const std::string& path, StatsV1& stats) {
  stats.cpu_total = read_number(path + "/cpuacct.usage");
  std::string per_cpu = read_text(path + "/cpuacct.usage_percpu");
  for_lines(per_cpu, [&](std::string_view line) {
    while (!line.empty()) {
      std::string_view word = next_word(line);
      if (!word.empty()) stats.cpu_per_cpu.push_back(to_number(word));
    }
  });
  // Ticks; containerd gives nanoseconds.
  const auto tick = 1'000'000'000ULL / static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
  Counters stat = read_counters(path + "/cpuacct.stat");
  stats.cpu_user = counter(stat, "user") * tick;
  stats.cpu_kernel = counter(stat, "system") * tick;
}

void read_cpu(const std::string& path, StatsV1& stats) {
  Counters stat = read_counters(path + "/cpu.stat");
  stats.periods = counter(stat, "nr_periods");
  stats.throttled_periods = counter(stat, "nr_throttled");
  stats.throttled_time = counter(stat, "throttled_time");
}

// "8:0 Read 4096", or "8:0 4096", and a last line "Total 4096" which is left out.
std::vector<BlkioEntry> read_blkio(const std::string& path) {
  std::vector<BlkioEntry> entries;
  std::string text = read_text(path);
  for_lines(text, [&](std::string_view line) {
    std::string_view device = next_word(line);
    std::size_t colon = device.find(':');
    if (colon == std::string_view::npos) return;
    BlkioEntry entry;
    entry.major = to_number(device.substr(0, colon));
    entry.minor = to_number(device.substr(colon + 1));
    if (line.find(' ') != std::string_view::npos) entry.op = next_word(line);
    entry.value = to_number(line);
    entries.push_back(std::move(entry));
  });
  return entries;
}

void read_blkio(const std::string& path, StatsV1& stats) {
  // BFQ keeps its own; the throttling files are there with every scheduler.
  auto bytes = read_blkio(path + "/blkio.bfq.io_service_bytes_recursive");
  auto serviced = read_blkio(path + "/blkio.bfq.io_serviced_recursive");
  stats.io_service_bytes =
      bytes.empty() ? read_blkio(path + "/blkio.throttle.io_service_bytes_recursive") : bytes;
  stats.io_serviced =
      serviced.empty() ? read_blkio(path + "/blkio.throttle.io_serviced_recursive") : serviced;
  stats.io_queued = read_blkio(path + "/blkio.bfq.io_queued_recursive");
  stats.io_service_time = read_blkio(path + "/blkio.bfq.io_service_time_recursive");
  stats.io_wait_time = read_blkio(path + "/blkio.bfq.io_wait_time_recursive");
  stats.io_merged = read_blkio(path + "/blkio.bfq.io_merged_recursive");
  stats.io_time = read_blkio(path + "/blkio.bfq.time_recursive");
  stats.sectors = read_blkio(path + "/blkio.bfq.sectors_recursive");
}

}  // namespace

Result<Stats> read_stats_v1(const Cgroup& cgroup) {
  StatsV1 stats;
  if (const std::string& path = cgroup.path_of("memory"); !path.empty()) read_memory(path, stats);
  if (const std::string& path = cgroup.path_of("cpuacct"); !path.empty()) {
    stats.has_cpu = true;
    read_cpuacct(path, stats);
  }
  if (const std::string& path = cgroup.path_of("cpu"); !path.empty()) {
    stats.has_cpu = true;
    read_cpu(path, stats);
  }
  if (const std::string& path = cgroup.path_of("blkio"); !path.empty()) {
    stats.has_blkio = true;
    read_blkio(path, stats);
  }
  if (const std::string& path = cgroup.path_of("pids"); !path.empty()) {
    stats.has_pids = true;
    stats.pids_current = read_number(path + "/pids.current");
    std::uint64_t limit = read_number(path + "/pids.max");
    stats.pids_limit = limit == UINT64_MAX ? 0 : limit;
  }
  if (const std::string& path = cgroup.path_of("hugetlb"); !path.empty()) {
    for (std::string& size : hugepage_sizes()) {
      std::string prefix = path + "/hugetlb." + size;
      stats.hugetlb.push_back({std::move(size), read_number(prefix + ".usage_in_bytes"),
                               read_number(prefix + ".max_usage_in_bytes"),
                               read_number(prefix + ".failcnt")});
    }
  }
  if (const std::string& path = cgroup.path_of("rdma"); !path.empty()) {
    stats.rdma_current = read_rdma(path + "/rdma.current");
    stats.rdma_limit = read_rdma(path + "/rdma.max");
  }
  return stats;
}

}  // namespace davit::oci
