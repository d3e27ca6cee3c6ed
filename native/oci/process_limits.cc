#include "native/oci/process_limits.h"

#include <fcntl.h>
#include <sys/resource.h>

#include <algorithm>

#include "native/kernel/proc.h"

namespace davit::oci {
namespace {

void raise_hard_limit(const Rlimit& wanted, pid_t pid, Warnings& warnings) {
  struct rlimit now;
  if (::prlimit(pid, static_cast<__rlimit_resource>(wanted.resource), nullptr, &now) != 0) return;
  if (wanted.hard <= now.rlim_max) return;
  struct rlimit raised = {now.rlim_cur, wanted.hard};
  if (::prlimit(pid, static_cast<__rlimit_resource>(wanted.resource), &raised, nullptr) != 0)
    warnings.push_back(wanted.name + " stays at " + std::to_string(now.rlim_max) +
                       ": raising it to " + std::to_string(wanted.hard) +
                       " needs CAP_SYS_RESOURCE");
}

void set_oom_score(std::int64_t score, pid_t pid, int proc, Warnings& warnings) {
  std::string path = (pid == 0 ? "self" : std::to_string(pid)) + "/oom_score_adj";
  std::string value = std::to_string(score);
  auto file = kernel::open_in_proc(proc, path.c_str(), O_WRONLY);
  if (!file || ::write(file->get(), value.data(), value.size()) < 0)
    warnings.push_back("oomScoreAdj " + value + " was not set: " + std::strerror(errno));
}

}  // namespace

Result<> prepare_process(const ProcessSpec& process, pid_t pid, int proc, Warnings& warnings) {
  for (const Rlimit& limit : process.rlimits) raise_hard_limit(limit, pid, warnings);
  if (process.oom_score_adj) set_oom_score(*process.oom_score_adj, pid, proc, warnings);
  return schedule(process.scheduling, pid);
}

Result<> set_limits(const ProcessSpec& process) {
  for (const Rlimit& wanted : process.rlimits) {
    auto resource = static_cast<__rlimit_resource>(wanted.resource);
    struct rlimit now;
    if (::getrlimit(resource, &now) != 0) return fail_errno("read " + wanted.name);
    struct rlimit limit;
    limit.rlim_max = std::min<rlim_t>(wanted.hard, now.rlim_max);
    limit.rlim_cur = std::min<rlim_t>(wanted.soft, limit.rlim_max);
    if (::setrlimit(resource, &limit) != 0) return fail_errno("set " + wanted.name);
  }
  return {};
}

}  // namespace davit::oci
