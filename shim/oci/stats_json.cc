#include "shim/oci/stats_json.h"

#include "native/oci/json_text.h"

namespace davit::oci_cli {
namespace {

using oci::BlkioEntry;
using oci::Counters;
using oci::MemoryEntry;
using oci::StatsV1;
using oci::StatsV2;

// An object being written; what was not given or is nothing is left out.
class Object {
 public:
  Object& raw(const char* name, const std::string& json) {
    text_ += (text_.size() > 1 ? "," : "") + oci::json::quote(name) + ':' + json;
    return *this;
  }
  Object& number(const char* name, std::uint64_t value) { return raw(name, std::to_string(value)); }
  Object& unless_zero(const char* name, std::uint64_t value) {
    return value == 0 ? *this : number(name, value);
  }
  Object& list(const char* name, const std::string& items) {
    return items.empty() ? *this : raw(name, '[' + items + ']');
  }
  std::string end() const { return text_ + '}'; }

 private:
  std::string text_ = "{";
};

std::string object_of(const Counters& counters) {
  Object out;
  for (const auto& [key, value] : counters) out.number(key.c_str(), value);
  return out.end();
}

std::string memory_entry(const MemoryEntry& entry) {
  return Object()
      .number("limit", entry.limit)
      .unless_zero("usage", entry.usage)
      .unless_zero("max", entry.max)
      .number("failcnt", entry.failcnt)
      .end();
}

std::string blkio_list(const std::vector<BlkioEntry>& entries) {
  std::string out;
  for (const BlkioEntry& entry : entries)
    out += (out.empty() ? "" : ",") + Object()
                                          .number("major", entry.major)
                                          .number("minor", entry.minor)
                                          .raw("op", oci::json::quote(entry.op))
                                          .number("value", entry.value)
                                          .end();
  return out;
}

std::string hugetlb_object(const std::vector<oci::HugetlbStat>& sizes) {
  Object out;
  for (const oci::HugetlbStat& size : sizes)
    out.raw(size.pagesize.c_str(), Object()
                                       .unless_zero("usage", size.usage)
                                       .unless_zero("max", size.max)
                                       .number("failcnt", size.failcnt)
                                       .end());
  return out.end();
}

std::string numbers(const std::vector<std::uint64_t>& values) {
  std::string out;
  for (std::uint64_t value : values) out += (out.empty() ? "" : ",") + std::to_string(value);
  return out;
}

std::string throttling(std::uint64_t periods, std::uint64_t throttled, std::uint64_t time_ns) {
  return Object()
      .unless_zero("periods", periods)
      .unless_zero("throttledPeriods", throttled)
      .unless_zero("throttledTime", time_ns)
      .end();
}

std::string pids(std::uint64_t current, std::uint64_t limit) {
  return Object().unless_zero("current", current).unless_zero("limit", limit).end();
}

std::string data_of(const StatsV1& stats) {
  std::string usage = Object()
                          .unless_zero("total", stats.cpu_total)
                          .list("percpu", numbers(stats.cpu_per_cpu))
                          .number("kernel", stats.cpu_kernel)
                          .number("user", stats.cpu_user)
                          .end();
  Object memory;
  memory.unless_zero("cache", oci::counter(stats.memory, "cache"))
      .raw("usage", memory_entry(stats.usage))
      .raw("swap", memory_entry(stats.swap))
      .raw("kernel", memory_entry(stats.kernel))
      .raw("kernelTCP", memory_entry(stats.kernel_tcp))
      .raw("raw", object_of(stats.memory));
  Object blkio;
  blkio.list("ioServiceBytesRecursive", blkio_list(stats.io_service_bytes))
      .list("ioServicedRecursive", blkio_list(stats.io_serviced))
      .list("ioQueueRecursive", blkio_list(stats.io_queued))
      .list("ioServiceTimeRecursive", blkio_list(stats.io_service_time))
      .list("ioWaitTimeRecursive", blkio_list(stats.io_wait_time))
      .list("ioMergedRecursive", blkio_list(stats.io_merged))
      .list("ioTimeRecursive", blkio_list(stats.io_time))
      .list("sectorsRecursive", blkio_list(stats.sectors));
  return Object()
      .raw("cpu", Object()
                      .raw("usage", usage)
                      .raw("throttling",
                           throttling(stats.periods, stats.throttled_periods, stats.throttled_time))
                      .end())
      .raw("memory", memory.end())
      .raw("pids", pids(stats.pids_current, stats.pids_limit))
      .raw("blkio", blkio.end())
      .raw("hugetlb", hugetlb_object(stats.hugetlb))
      .raw("intel_rdt", "{}")
      .raw("network_interfaces", "null")
      .end();
}

std::string data_of(const StatsV2& stats) {
  constexpr std::uint64_t kMicro = 1000;  // cpu.stat counts microseconds, events nanoseconds
  auto cpu_ns = [&](const char* key) { return oci::counter(stats.cpu, key) * kMicro; };
  std::string usage = Object()
                          .unless_zero("total", cpu_ns("usage_usec"))
                          .number("kernel", cpu_ns("system_usec"))
                          .number("user", cpu_ns("user_usec"))
                          .end();
  MemoryEntry memory_usage{stats.memory_limit, stats.memory_usage, stats.memory_peak,
                           oci::counter(stats.memory_events, "max")};
  MemoryEntry swap_usage{stats.swap_limit, stats.swap_usage, stats.swap_peak, 0};
  Object memory;
  memory.unless_zero("cache", oci::counter(stats.memory, "file"))
      .raw("usage", memory_entry(memory_usage))
      .raw("swap", memory_entry(swap_usage))
      .raw("kernel", memory_entry({}))
      .raw("kernelTCP", memory_entry({}))
      .raw("raw", object_of(stats.memory));
  std::vector<BlkioEntry> bytes, operations;
  for (const oci::IoEntry& io : stats.io) {
    bytes.push_back({"Read", "", io.major, io.minor, io.rbytes});
    bytes.push_back({"Write", "", io.major, io.minor, io.wbytes});
    operations.push_back({"Read", "", io.major, io.minor, io.rios});
    operations.push_back({"Write", "", io.major, io.minor, io.wios});
  }
  return Object()
      .raw("cpu", Object()
                      .raw("usage", usage)
                      .raw("throttling", throttling(oci::counter(stats.cpu, "nr_periods"),
                                                    oci::counter(stats.cpu, "nr_throttled"),
                                                    cpu_ns("throttled_usec")))
                      .end())
      .raw("memory", memory.end())
      .raw("pids", pids(stats.pids_current, stats.pids_limit))
      .raw("blkio", Object()
                        .list("ioServiceBytesRecursive", blkio_list(bytes))
                        .list("ioServicedRecursive", blkio_list(operations))
                        .end())
      .raw("hugetlb", hugetlb_object(stats.hugetlb))
      .raw("intel_rdt", "{}")
      .raw("network_interfaces", "null")
      .end();
}

}  // namespace

std::string stats_json(const oci::Stats& stats) {
  return std::visit([](const auto& one) { return data_of(one); }, stats);
}

}  // namespace davit::oci_cli
