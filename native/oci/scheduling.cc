#include "native/oci/scheduling.h"

#include <errno.h>
#include <linux/ioprio.h>
#include <linux/mempolicy.h>
#include <linux/sched.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace davit::oci {
namespace {

using json::At;
using json::Value;

// sched_setattr(2); the kernel's header for it cannot be used beside the C library's.
struct Attributes {
  std::uint32_t size, policy;
  std::uint64_t flags;
  std::int32_t nice;
  std::uint32_t priority;
  std::uint64_t runtime, deadline, period;
};

constexpr std::size_t kWord = 8 * sizeof(unsigned long);
constexpr unsigned kHighestBit = 8191;  // what the largest kernel configurations have

struct Name {
  const char* name;
  std::uint64_t value;
};

template <std::size_t N>
const Name* lookup(const Name (&names)[N], const std::string& name) {
  for (const Name& one : names)
    if (name == one.name) return &one;
  return nullptr;
}

template <std::size_t N>
Result<std::uint64_t> flags_of(const Name (&names)[N], const Value& object, const At& at) {
  std::vector<std::string> given;
  DAVIT_TRY(json::get(object, "flags", at, given));
  std::uint64_t flags = 0;
  for (std::size_t i = 0; i < given.size(); i++) {
    const Name* flag = lookup(names, given[i]);
    if (flag == nullptr) return json::wrong((at / "flags")[i], "a known flag");
    flags |= flag->value;
  }
  return flags;
}

Result<Scheduler> scheduler_of(const Value& value, const At& at) {
  constexpr Name kPolicies[] = {{"SCHED_OTHER", SCHED_OTHER}, {"SCHED_NORMAL", SCHED_OTHER},
                                {"SCHED_FIFO", SCHED_FIFO},   {"SCHED_RR", SCHED_RR},
                                {"SCHED_BATCH", SCHED_BATCH}, {"SCHED_ISO", 4},
                                {"SCHED_IDLE", SCHED_IDLE},   {"SCHED_DEADLINE", SCHED_DEADLINE}};
  constexpr Name kFlags[] = {{"SCHED_FLAG_RESET_ON_FORK", SCHED_FLAG_RESET_ON_FORK},
                             {"SCHED_FLAG_RECLAIM", SCHED_FLAG_RECLAIM},
                             {"SCHED_FLAG_DL_OVERRUN", SCHED_FLAG_DL_OVERRUN},
                             {"SCHED_FLAG_KEEP_POLICY", SCHED_FLAG_KEEP_POLICY},
                             {"SCHED_FLAG_KEEP_PARAMS", SCHED_FLAG_KEEP_PARAMS},
                             {"SCHED_FLAG_UTIL_CLAMP_MIN", SCHED_FLAG_UTIL_CLAMP_MIN},
                             {"SCHED_FLAG_UTIL_CLAMP_MAX", SCHED_FLAG_UTIL_CLAMP_MAX}};
  Scheduler out;
  std::string name;
  std::optional<std::int64_t> nice, priority;
  std::optional<std::uint64_t> runtime, deadline, period;
  DAVIT_TRY(json::get(value, "policy", at, name));
  const Name* policy = lookup(kPolicies, name);
  if (policy == nullptr) return json::wrong(at / "policy", "a known scheduling policy");
  DAVIT_TRY(json::get(value, "nice", at, nice));
  DAVIT_TRY(json::get(value, "priority", at, priority));
  DAVIT_TRY(json::get(value, "runtime", at, runtime));
  DAVIT_TRY(json::get(value, "deadline", at, deadline));
  DAVIT_TRY(json::get(value, "period", at, period));
  DAVIT_ASSIGN(out.flags, flags_of(kFlags, value, at));
  out.policy = static_cast<std::uint32_t>(policy->value);
  if (nice && (*nice < -20 || *nice > 19)) return json::wrong(at / "nice", "from -20 to 19");
  bool real_time = out.policy == SCHED_FIFO || out.policy == SCHED_RR;
  if (priority && *priority != 0 && !real_time)
    return json::wrong(at / "priority", "given with SCHED_FIFO or SCHED_RR only");
  if (priority && (*priority < 0 || *priority > 99))
    return json::wrong(at / "priority", "from 0 to 99");
  if ((runtime || deadline || period) && out.policy != SCHED_DEADLINE)
    return json::wrong(at / "runtime", "given with SCHED_DEADLINE only");
  out.nice = static_cast<std::int32_t>(nice.value_or(0));
  out.priority = static_cast<std::uint32_t>(priority.value_or(0));
  out.runtime = runtime.value_or(0);
  out.deadline = deadline.value_or(0);
  out.period = period.value_or(0);
  return out;
}

Result<int> io_priority_of(const Value& value, const At& at) {
  constexpr Name kClasses[] = {{"IOPRIO_CLASS_RT", IOPRIO_CLASS_RT},
                               {"IOPRIO_CLASS_BE", IOPRIO_CLASS_BE},
                               {"IOPRIO_CLASS_IDLE", IOPRIO_CLASS_IDLE}};
  std::string name;
  std::optional<std::int64_t> priority;
  DAVIT_TRY(json::get(value, "class", at, name));
  DAVIT_TRY(json::get(value, "priority", at, priority));
  const Name* found = lookup(kClasses, name);
  if (found == nullptr) return json::wrong(at / "class", "a known class, like IOPRIO_CLASS_BE");
  if (priority && (*priority < 0 || *priority > 7))
    return json::wrong(at / "priority", "from 0 to 7");
  // The idle class has no levels.
  auto level = found->value == IOPRIO_CLASS_IDLE ? 0 : priority.value_or(0);
  return IOPRIO_PRIO_VALUE(static_cast<int>(found->value), static_cast<int>(level));
}

std::unexpected<Error> wrong_list(const At& at) {
  return json::wrong(at, "a list of numbers and ranges, like 0-3,7");
}

}  // namespace

Result<BitSet> parse_bits(const std::string& text, const At& at) {
  BitSet bits;
  const char* here = text.c_str();
  auto number = [&](unsigned long& out) {
    char* end = nullptr;
    if (*here < '0' || *here > '9') return false;
    out = ::strtoul(here, &end, 10);
    here = end;
    return out <= kHighestBit;
  };
  auto blanks = [&] {
    while (*here == ' ' || *here == '\t' || *here == '\n') here++;
  };
  for (;;) {
    unsigned long first = 0;
    blanks();
    if (!number(first)) return wrong_list(at);
    unsigned long last = first;
    if (*here == '-') {
      here++;
      if (!number(last) || last < first) return wrong_list(at);
    }
    if (bits.size() <= last / kWord) bits.resize(last / kWord + 1);
    for (unsigned long i = first; i <= last; i++) bits[i / kWord] |= 1UL << (i % kWord);
    blanks();
    if (*here == '\0') return bits;
    if (*here++ != ',') return wrong_list(at);
  }
}

Result<Scheduling> parse_scheduling(const Value& process, const At& at) {
  Scheduling out;
  DAVIT_ASSIGN(const Value* scheduler, json::object(process, "scheduler", at));
  if (scheduler != nullptr) {
    DAVIT_ASSIGN(out.scheduler, scheduler_of(*scheduler, at / "scheduler"));
  }
  DAVIT_ASSIGN(const Value* io, json::object(process, "ioPriority", at));
  if (io != nullptr) {
    DAVIT_ASSIGN(out.io_priority, io_priority_of(*io, at / "ioPriority"));
  }
  DAVIT_ASSIGN(const Value* affinity, json::object(process, "execCPUAffinity", at));
  if (affinity == nullptr) return out;
  At here = at / "execCPUAffinity";
  std::string initial, final;
  DAVIT_TRY(json::get(*affinity, "initial", here, initial));
  DAVIT_TRY(json::get(*affinity, "final", here, final));
  if (!initial.empty()) {
    DAVIT_ASSIGN(out.exec_affinity.initial, parse_bits(initial, here / "initial"));
  }
  if (!final.empty()) {
    DAVIT_ASSIGN(out.exec_affinity.final, parse_bits(final, here / "final"));
  }
  return out;
}

Result<std::optional<MemoryPolicy>> parse_memory_policy(const Value& linux_part, const At& at) {
  constexpr unsigned kWeightedInterleave = 6;  // Linux 6.9
  constexpr Name kModes[] = {{"MPOL_DEFAULT", MPOL_DEFAULT},
                             {"MPOL_PREFERRED", MPOL_PREFERRED},
                             {"MPOL_BIND", MPOL_BIND},
                             {"MPOL_INTERLEAVE", MPOL_INTERLEAVE},
                             {"MPOL_LOCAL", MPOL_LOCAL},
                             {"MPOL_PREFERRED_MANY", MPOL_PREFERRED_MANY},
                             {"MPOL_WEIGHTED_INTERLEAVE", kWeightedInterleave}};
  constexpr Name kFlags[] = {{"MPOL_F_NUMA_BALANCING", MPOL_F_NUMA_BALANCING},
                             {"MPOL_F_RELATIVE_NODES", MPOL_F_RELATIVE_NODES},
                             {"MPOL_F_STATIC_NODES", MPOL_F_STATIC_NODES}};
  DAVIT_ASSIGN(const Value* value, json::object(linux_part, "memoryPolicy", at));
  if (value == nullptr) return std::nullopt;
  At here = at / "memoryPolicy";
  MemoryPolicy out;
  std::string mode, nodes;
  DAVIT_TRY(json::get(*value, "mode", here, mode));
  DAVIT_TRY(json::get(*value, "nodes", here, nodes));
  const Name* found = lookup(kModes, mode);
  if (found == nullptr) return json::wrong(here / "mode", "a known memory policy");
  DAVIT_ASSIGN(std::uint64_t flags, flags_of(kFlags, *value, here));
  out.mode = static_cast<unsigned>(found->value | flags);
  if (!nodes.empty()) {
    DAVIT_ASSIGN(out.nodes, parse_bits(nodes, here / "nodes"));
  }
  return out;
}

Result<> schedule(const Scheduling& scheduling, pid_t pid) {
  if (const auto& wanted = scheduling.scheduler) {
    Attributes attributes = {sizeof(Attributes), wanted->policy,  wanted->flags,    wanted->nice,
                             wanted->priority,   wanted->runtime, wanted->deadline, wanted->period};
    if (::syscall(SYS_sched_setattr, pid, &attributes, 0) != 0)
      return fail_errno("set process.scheduler");
  }
  if (scheduling.io_priority &&
      ::syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, pid, *scheduling.io_priority) != 0)
    return fail_errno("set process.ioPriority");
  return {};
}

Result<> set_affinity(const BitSet& cpus) {
  if (::syscall(SYS_sched_setaffinity, 0, cpus.size() * sizeof(unsigned long), cpus.data()) != 0)
    return fail_errno("set process.execCPUAffinity");
  return {};
}

Result<BitSet> affinity() {
  BitSet bits((kHighestBit + 1) / kWord);
  long bytes =
      ::syscall(SYS_sched_getaffinity, 0, bits.size() * sizeof(unsigned long), bits.data());
  if (bytes < 0) return fail_errno("read the own CPU affinity");
  bits.resize(static_cast<std::size_t>(bytes) / sizeof(unsigned long));
  return bits;
}

Result<> set_memory_policy(const MemoryPolicy& policy) {
  // The kernel takes the number of bits plus one.
  unsigned long count = policy.nodes.empty() ? 0 : policy.nodes.size() * kWord + 1;
  if (::syscall(SYS_set_mempolicy, static_cast<int>(policy.mode),
                policy.nodes.empty() ? nullptr : policy.nodes.data(), count) != 0)
    return fail_errno("set linux.memoryPolicy");
  return {};
}

}  // namespace davit::oci
