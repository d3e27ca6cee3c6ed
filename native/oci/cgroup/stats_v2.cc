#include <unistd.h>

#include "native/oci/cgroup/cgroup.h"
#include "native/oci/cgroup/stats_files.h"

namespace davit::oci {
namespace {

// "some avg10=0.00 avg60=0.00 avg300=0.00 total=0"
PsiStats read_pressure(const std::string& path) {
  PsiStats stats;
  std::string text = read_text(path);
  for_lines(text, [&](std::string_view line) {
    std::string_view kind = next_word(line);
    if (kind != "some" && kind != "full") return;
    Psi& psi = kind == "some" ? stats.some : stats.full;
    auto value = [&] {
      std::string_view word = next_word(line);
      return std::string(word.substr(word.find('=') + 1));
    };
    psi.avg10 = std::strtod(value().c_str(), nullptr);
    psi.avg60 = std::strtod(value().c_str(), nullptr);
    psi.avg300 = std::strtod(value().c_str(), nullptr);
    psi.total = to_number(value());
    stats.present = true;
  });
  return stats;
}

// "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0"
std::vector<IoEntry> read_io(const std::string& path) {
  std::vector<IoEntry> entries;
  std::string text = read_text(path);
  for_lines(text, [&](std::string_view line) {
    std::string_view device = next_word(line);
    std::size_t colon = device.find(':');
    if (colon == std::string_view::npos) return;
    IoEntry entry;
    entry.major = to_number(device.substr(0, colon));
    entry.minor = to_number(device.substr(colon + 1));
    while (!line.empty()) {
      std::string_view word = next_word(line);
      std::size_t equals = word.find('=');
      if (equals == std::string_view::npos) continue;
      std::string_view key = word.substr(0, equals);
      std::uint64_t value = to_number(word.substr(equals + 1));
      if (key == "rbytes") entry.rbytes = value;
      if (key == "wbytes") entry.wbytes = value;
      if (key == "rios") entry.rios = value;
      if (key == "wios") entry.wios = value;
    }
    entries.push_back(entry);
  });
  return entries;
}

}  // namespace

Result<Stats> read_stats_v2(const std::string& path) {
  StatsV2 stats;
  std::uint64_t limit = read_number(path + "/pids.max");
  stats.pids_current = read_number(path + "/pids.current");
  stats.pids_limit = limit == UINT64_MAX ? 0 : limit;
  stats.cpu = read_counters(path + "/cpu.stat");
  stats.memory = read_counters(path + "/memory.stat");
  stats.memory_events = read_counters(path + "/memory.events");
  stats.memory_usage = read_number(path + "/memory.current");
  stats.memory_limit = read_number(path + "/memory.max");
  stats.memory_peak = read_number(path + "/memory.peak");
  stats.swap_usage = read_number(path + "/memory.swap.current");
  stats.swap_limit = read_number(path + "/memory.swap.max");
  stats.swap_peak = read_number(path + "/memory.swap.peak");
  stats.cpu_psi = read_pressure(path + "/cpu.pressure");
  stats.memory_psi = read_pressure(path + "/memory.pressure");
  stats.io_psi = read_pressure(path + "/io.pressure");
  stats.io = read_io(path + "/io.stat");
  for (std::string& size : hugepage_sizes()) {
    std::string prefix = path + "/hugetlb." + size;
    if (::access((prefix + ".current").c_str(), R_OK) != 0) continue;
    HugetlbStat stat{size, read_number(prefix + ".current"), read_number(prefix + ".max"),
                     counter(read_counters(prefix + ".events"), "max")};
    stats.hugetlb.push_back(std::move(stat));
  }
  stats.rdma_current = read_rdma(path + "/rdma.current");
  stats.rdma_limit = read_rdma(path + "/rdma.max");
  return stats;
}

}  // namespace davit::oci
