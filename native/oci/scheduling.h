// How a process is scheduled and where its memory comes from: process.scheduler, ioPriority and
// execCPUAffinity, linux.memoryPolicy.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "native/kernel/result.h"
#include "native/oci/json.h"

namespace davit::oci {

struct Scheduler {
  std::uint32_t policy = 0;
  std::uint64_t flags = 0;
  std::int32_t nice = 0;
  std::uint32_t priority = 0;
  std::uint64_t runtime = 0, deadline = 0, period = 0;
};

// A set of processors or memory nodes, one bit each.
using BitSet = std::vector<unsigned long>;

struct CpuAffinity {
  BitSet initial, final;  // empty: not given
};

struct MemoryPolicy {
  unsigned mode = 0;  // with its flags
  BitSet nodes;
};

struct Scheduling {
  std::optional<Scheduler> scheduler;
  std::optional<int> io_priority;
  CpuAffinity exec_affinity;
};

// Of an OCI Process.
Result<Scheduling> parse_scheduling(const json::Value& process, const json::At& at);
Result<std::optional<MemoryPolicy>> parse_memory_policy(const json::Value& linux_part,
                                                        const json::At& at);
// "0-3,7"; EINVAL for anything else.
Result<BitSet> parse_bits(const std::string& text, const json::At& at);

// The policies of `pid` (0: the caller), while still privileged on the host.
Result<> schedule(const Scheduling& scheduling, pid_t pid);
Result<> set_affinity(const BitSet& cpus);
Result<BitSet> affinity();
Result<> set_memory_policy(const MemoryPolicy& policy);

}  // namespace davit::oci
