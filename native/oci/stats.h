// What a cgroup says about itself, in the units and with the members of containerd's metrics
// messages (io.containerd.cgroups.v1 and .v2); the caller only encodes.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace davit::oci {

struct RdmaEntry {
  std::string device;
  std::uint32_t hca_handles = 0, hca_objects = 0;
};

struct NetworkStat {
  std::string name;
  std::uint64_t rx_bytes = 0, rx_packets = 0, rx_errors = 0, rx_dropped = 0;
  std::uint64_t tx_bytes = 0, tx_packets = 0, tx_errors = 0, tx_dropped = 0;
};

struct HugetlbStat {
  std::string pagesize;
  std::uint64_t usage = 0, max = 0, failcnt = 0;
};

struct MemoryEntry {
  std::uint64_t limit = 0, usage = 0, max = 0, failcnt = 0;
};

// A flat statistics file (`key value` per line) as read: the caller picks members by name, and a
// kernel's new key costs nothing here.
using Counters = std::vector<std::pair<std::string, std::uint64_t>>;
std::uint64_t counter(const Counters& counters, const char* key);

struct BlkioEntry {
  std::string op, device;
  std::uint64_t major = 0, minor = 0, value = 0;
};

struct StatsV1 {
  bool has_memory = false, has_pids = false, has_cpu = false, has_blkio = false;
  std::uint64_t pids_current = 0, pids_limit = 0;                        // limit 0 = none
  std::uint64_t cpu_total = 0, cpu_kernel = 0, cpu_user = 0;             // nanoseconds
  std::vector<std::uint64_t> cpu_per_cpu;                                // nanoseconds
  std::uint64_t throttled_periods = 0, periods = 0, throttled_time = 0;  // time in nanoseconds
  Counters memory;  // memory.stat: cache, rss, pgpgin, ..., total_unevictable
  MemoryEntry usage, swap, kernel, kernel_tcp;
  bool has_swap = false;
  std::uint64_t oom_kill_disable = 0, under_oom = 0, oom_kill = 0;
  std::vector<BlkioEntry> io_service_bytes, io_serviced, io_queued, io_service_time, io_wait_time,
      io_merged, io_time, sectors;
  std::vector<HugetlbStat> hugetlb;
  std::vector<RdmaEntry> rdma_current, rdma_limit;
};

struct Psi {
  double avg10 = 0, avg60 = 0, avg300 = 0;
  std::uint64_t total = 0;
};
struct PsiStats {
  bool present = false;
  Psi some, full;
};

struct IoEntry {
  std::uint64_t major = 0, minor = 0, rbytes = 0, wbytes = 0, rios = 0, wios = 0;
};

struct StatsV2 {
  std::uint64_t pids_current = 0, pids_limit = 0;  // limit 0 = none
  Counters cpu;                                    // cpu.stat
  Counters memory;                                 // memory.stat
  Counters memory_events;                          // memory.events
  // A limit of UINT64_MAX is "max".
  std::uint64_t memory_usage = 0, memory_limit = 0, swap_usage = 0, swap_limit = 0;
  std::uint64_t memory_peak = 0, swap_peak = 0;
  PsiStats cpu_psi, memory_psi, io_psi;
  std::vector<IoEntry> io;
  std::vector<HugetlbStat> hugetlb;
  std::vector<RdmaEntry> rdma_current, rdma_limit;
};

using Stats = std::variant<StatsV1, StatsV2>;

}  // namespace davit::oci
