#include "shim/task/metrics.h"

#include <string_view>

#include "native/kernel/pb.h"

namespace davit::shim {

using pb::Writer;

namespace {

uint64_t value_of(const oci::Counters& counters, std::string_view name) {
  for (const auto& [key, value] : counters) {
    if (key == name) return value;
  }
  return 0;
}

// Writes the named counters as fields first, first + 1, ...; "" leaves a number out.
template <size_t N>
void put_counters(Writer& w, uint32_t first, const oci::Counters& counters,
                  const char* const (&names)[N]) {
  for (size_t i = 0; i < N; i++) {
    if (*names[i] == '\0') continue;
    w.varint(first + static_cast<uint32_t>(i), value_of(counters, names[i]));
  }
}

void put_message(Writer& w, uint32_t field, const Writer& message) {
  w.bytes_always(field, message.data());
}

std::string encode(const oci::RdmaEntry& entry) {
  Writer w;
  w.text(1, entry.device);
  w.varint(2, entry.hca_handles);
  w.varint(3, entry.hca_objects);
  return w.take();
}

void put_rdma(Writer& w, uint32_t field, const std::vector<oci::RdmaEntry>& current,
              const std::vector<oci::RdmaEntry>& limit) {
  if (current.empty() && limit.empty()) return;
  Writer rdma;
  for (const auto& entry : current) rdma.bytes_always(1, encode(entry));
  for (const auto& entry : limit) rdma.bytes_always(2, encode(entry));
  put_message(w, field, rdma);
}

std::string encode(const oci::MemoryEntry& entry) {
  Writer w;
  w.varint(1, entry.limit);
  w.varint(2, entry.usage);
  w.varint(3, entry.max);
  w.varint(4, entry.failcnt);
  return w.take();
}

void put_blkio(Writer& w, uint32_t field, const std::vector<oci::BlkioEntry>& entries) {
  for (const auto& entry : entries) {
    Writer e;
    e.text(1, entry.op);
    e.text(2, entry.device);
    e.varint(3, entry.major);
    e.varint(4, entry.minor);
    e.varint(5, entry.value);
    put_message(w, field, e);
  }
}

void put_pids(Writer& w, uint32_t field, uint64_t current, uint64_t limit) {
  Writer pids;
  pids.varint(1, current);
  pids.varint(2, limit);
  put_message(w, field, pids);
}

void put_cpu(Writer& w, const oci::StatsV1& stats) {
  Writer usage;
  usage.varint(1, stats.cpu_total);
  usage.varint(2, stats.cpu_kernel);
  usage.varint(3, stats.cpu_user);
  std::string packed;
  for (uint64_t value : stats.cpu_per_cpu) {
    for (; value >= 0x80; value >>= 7) packed.push_back(static_cast<char>(value | 0x80));
    packed.push_back(static_cast<char>(value));
  }
  usage.bytes(4, packed);
  Writer throttling;
  throttling.varint(1, stats.periods);
  throttling.varint(2, stats.throttled_periods);
  throttling.varint(3, stats.throttled_time);
  Writer cpu;
  put_message(cpu, 1, usage);
  put_message(cpu, 2, throttling);
  put_message(w, 3, cpu);
}

void put_memory(Writer& w, const oci::StatsV1& stats) {
  static constexpr const char* kNames[] = {"cache",
                                           "rss",
                                           "rss_huge",
                                           "mapped_file",
                                           "dirty",
                                           "writeback",
                                           "pgpgin",
                                           "pgpgout",
                                           "pgfault",
                                           "pgmajfault",
                                           "inactive_anon",
                                           "active_anon",
                                           "inactive_file",
                                           "active_file",
                                           "unevictable",
                                           "hierarchical_memory_limit",
                                           "hierarchical_memsw_limit",
                                           "total_cache",
                                           "total_rss",
                                           "total_rss_huge",
                                           "total_mapped_file",
                                           "total_dirty",
                                           "total_writeback",
                                           "total_pgpgin",
                                           "total_pgpgout",
                                           "total_pgfault",
                                           "total_pgmajfault",
                                           "total_inactive_anon",
                                           "total_active_anon",
                                           "total_inactive_file",
                                           "total_active_file",
                                           "total_unevictable"};
  Writer memory;
  put_counters(memory, 1, stats.memory, kNames);
  memory.bytes_always(33, encode(stats.usage));
  if (stats.has_swap) memory.bytes_always(34, encode(stats.swap));
  memory.bytes_always(35, encode(stats.kernel));
  memory.bytes_always(36, encode(stats.kernel_tcp));
  put_message(w, 4, memory);
  Writer oom;
  oom.varint(1, stats.oom_kill_disable);
  oom.varint(2, stats.under_oom);
  oom.varint(3, stats.oom_kill);
  put_message(w, 9, oom);
}

std::string encode(const oci::StatsV1& stats) {
  Writer w;
  for (const auto& entry : stats.hugetlb) {
    Writer huge;
    huge.varint(1, entry.usage);
    huge.varint(2, entry.max);
    huge.varint(3, entry.failcnt);
    huge.text(4, entry.pagesize);
    put_message(w, 1, huge);
  }
  if (stats.has_pids) put_pids(w, 2, stats.pids_current, stats.pids_limit);
  if (stats.has_cpu) put_cpu(w, stats);
  if (stats.has_memory) put_memory(w, stats);
  if (stats.has_blkio) {
    Writer blkio;
    put_blkio(blkio, 1, stats.io_service_bytes);
    put_blkio(blkio, 2, stats.io_serviced);
    put_blkio(blkio, 3, stats.io_queued);
    put_blkio(blkio, 4, stats.io_service_time);
    put_blkio(blkio, 5, stats.io_wait_time);
    put_blkio(blkio, 6, stats.io_merged);
    put_blkio(blkio, 7, stats.io_time);
    put_blkio(blkio, 8, stats.sectors);
    put_message(w, 5, blkio);
  }
  put_rdma(w, 6, stats.rdma_current, stats.rdma_limit);
  return w.take();
}

std::string encode(const oci::Psi& psi) {
  Writer w;
  w.fixed_double(1, psi.avg10);
  w.fixed_double(2, psi.avg60);
  w.fixed_double(3, psi.avg300);
  w.varint(4, psi.total);
  return w.take();
}

void put_psi(Writer& w, uint32_t field, const oci::PsiStats& psi) {
  if (!psi.present) return;
  Writer stats;
  stats.bytes_always(1, encode(psi.some));
  stats.bytes_always(2, encode(psi.full));
  put_message(w, field, stats);
}

void put_cpu(Writer& w, const oci::StatsV2& stats) {
  static constexpr const char* kNames[] = {"usage_usec", "user_usec",    "system_usec",
                                           "nr_periods", "nr_throttled", "throttled_usec"};
  static constexpr const char* kBursts[] = {"nr_bursts", "burst_usec"};
  Writer cpu;
  put_counters(cpu, 1, stats.cpu, kNames);
  put_psi(cpu, 7, stats.cpu_psi);
  put_counters(cpu, 8, stats.cpu, kBursts);
  put_message(w, 2, cpu);
}

void put_memory(Writer& w, const oci::StatsV2& stats) {
  static constexpr const char* kNames[] = {"anon",
                                           "file",
                                           "kernel_stack",
                                           "slab",
                                           "sock",
                                           "shmem",
                                           "file_mapped",
                                           "file_dirty",
                                           "file_writeback",
                                           "anon_thp",
                                           "inactive_anon",
                                           "active_anon",
                                           "inactive_file",
                                           "active_file",
                                           "unevictable",
                                           "slab_reclaimable",
                                           "slab_unreclaimable",
                                           "pgfault",
                                           "pgmajfault",
                                           "workingset_refault",
                                           "workingset_activate",
                                           "workingset_nodereclaim",
                                           "pgrefill",
                                           "pgscan",
                                           "pgsteal",
                                           "pgactivate",
                                           "pgdeactivate",
                                           "pglazyfree",
                                           "pglazyfreed",
                                           "thp_fault_alloc",
                                           "thp_collapse_alloc"};
  Writer memory;
  put_counters(memory, 1, stats.memory, kNames);
  memory.varint(32, stats.memory_usage);
  memory.varint(33, stats.memory_limit);
  memory.varint(34, stats.swap_usage);
  memory.varint(35, stats.swap_limit);
  memory.varint(36, stats.memory_peak);
  memory.varint(37, stats.swap_peak);
  put_psi(memory, 38, stats.memory_psi);
  put_message(w, 4, memory);
  static constexpr const char* kEvents[] = {"low", "high",     "max",
                                            "oom", "oom_kill", "oom_group_kill"};
  Writer events;
  put_counters(events, 1, stats.memory_events, kEvents);
  put_message(w, 8, events);
}

std::string encode(const oci::StatsV2& stats) {
  Writer w;
  put_pids(w, 1, stats.pids_current, stats.pids_limit);
  put_cpu(w, stats);
  put_memory(w, stats);
  put_rdma(w, 5, stats.rdma_current, stats.rdma_limit);
  Writer io;
  for (const auto& entry : stats.io) {
    Writer e;
    e.varint(1, entry.major);
    e.varint(2, entry.minor);
    e.varint(3, entry.rbytes);
    e.varint(4, entry.wbytes);
    e.varint(5, entry.rios);
    e.varint(6, entry.wios);
    put_message(io, 1, e);
  }
  put_psi(io, 2, stats.io_psi);
  put_message(w, 6, io);
  for (const auto& entry : stats.hugetlb) {
    Writer huge;
    huge.varint(1, entry.usage);
    huge.varint(2, entry.max);
    huge.text(3, entry.pagesize);
    huge.varint(4, entry.failcnt);
    put_message(w, 7, huge);
  }
  return w.take();
}

}  // namespace

wire::Any encode_metrics(const oci::Stats& stats) {
  if (const auto* v1 = std::get_if<oci::StatsV1>(&stats)) {
    return {"io.containerd.cgroups.v1.Metrics", encode(*v1)};
  }
  return {"io.containerd.cgroups.v2.Metrics", encode(std::get<oci::StatsV2>(stats))};
}

}  // namespace davit::shim
