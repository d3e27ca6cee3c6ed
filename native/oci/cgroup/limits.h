// Writing resources into the files of a cgroup. `dir` is the cgroup's directory in the hierarchy of
// the controller. What was not given is not written, so the same functions serve create and update.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "native/kernel/result.h"
#include "native/oci/resources.h"

namespace davit::oci {

// The controllers of v1 that the resources need.
std::vector<std::string_view> controllers_needed(const Resources& resources);

// `controller` is one of v1's: cpu, cpuset, memory, pids, blkio, hugetlb, net_cls, net_prio, rdma;
// any other name writes nothing.
Result<> apply_limits_v1(int dir, std::string_view controller, const Resources& resources);

// All of v2's files. ENOENT for one becomes "controller is not enabled".
Result<> apply_limits_v2(int dir, const Resources& resources);

// cgroup v1's cpu.shares (2 to 262144) as v2's cpu.weight (1 to 10000), as runc and crun convert
// it.
std::uint64_t cpu_weight(std::uint64_t shares);

// v1's blkio.weight (10 to 1000) as v2's io.weight (1 to 10000).
std::uint64_t io_weight(std::uint64_t weight);

// The value for rdma.max, and for pids.max (no positive limit: "max"); the same in v1 and v2.
std::string rdma_line(const RdmaLimit& limit);
std::string pids_value(std::int64_t limit);

// A new v1 cpuset has no CPUs and no memory nodes, and takes no process until it has: copies the
// parents' down to `path` below `mount`.
Result<> inherit_cpuset(int mount, const std::string& path);

}  // namespace davit::oci
