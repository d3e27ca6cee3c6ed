// Scheduling, affinity and memory policy of real processes.
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "native/oci/scheduling.h"
#include "native/oci/testing/bundle.h"
#include "native/oci/testing/check.h"

namespace {

using namespace davit;
using testing::Bundle;
using testing::Running;

// nice, policy and real-time priority: proc(5).
constexpr const char* kShow = "cut -d' ' -f 19,40,41 /proc/self/stat";

std::string shown(Bundle& bundle, bool with_exec) {
  bundle.script(kShow);
  auto outcome = testing::run(bundle);
  std::string text = outcome.error + outcome.output;
  if (!with_exec) return text;
  std::string process = bundle.process(kShow);
  bundle.script("sleep 1000");
  Running running(bundle);
  CHECK_EQUAL(running.error(), "");
  if (!running.ok()) return text;
  auto exec = running.exec(process);
  CHECK_EQUAL(exec.error + exec.output, text);
  return text;
}

void policies() {
  Bundle bundle;
  bundle.prepare("ln $R/bin/busybox $R/bin/cut");
  bundle.set("/process/scheduler", R"({"policy": "SCHED_BATCH", "nice": -5})");
  CHECK_EQUAL(shown(bundle, true), "-5 0 3\n");
  // Real time needs a share of its cgroup's, which a new v1 cgroup does not have: the kernel says.
  bundle.set("/process/scheduler",
             R"({"policy": "SCHED_IDLE", "flags": ["SCHED_FLAG_RESET_ON_FORK"]})");
  // The niceness is ours, which is not 0 where tests run in the background.
  std::string own = std::to_string(::getpriority(PRIO_PROCESS, 0)) + " 0 ";
  CHECK_EQUAL(shown(bundle, false).substr(0, own.size()), own);
  bundle.set("/process/scheduler", R"({"policy": "SCHED_FIFO", "priority": 200})");
  CHECK_CONTAINS(testing::run(bundle).error, "process.scheduler.priority: must be from 0 to 99");
  bundle.set("/process/scheduler", R"({"policy": "SCHED_SOMETIMES"})");
  CHECK_CONTAINS(testing::run(bundle).error, "process.scheduler.policy: must be a known");
}

// Set while it is still the host's: a user namespace's root may not go below nice 0.
void in_a_user_namespace() {
  constexpr const char* kMaps = R"([{"containerID": 0, "hostID": 100000, "size": 65536}])";
  Bundle bundle;
  bundle.prepare("ln $R/bin/busybox $R/bin/cut; chown -R 100000:100000 $R");
  bundle.set("/linux/namespaces/-", R"({"type": "user"})");
  bundle.set("/linux/uidMappings", kMaps).set("/linux/gidMappings", kMaps);
  bundle.set("/process/scheduler", R"({"policy": "SCHED_OTHER", "nice": -3})");
  CHECK_EQUAL(shown(bundle, true), "-3 0 0\n");
}

void io_priority() {
  Bundle bundle;
  bundle.set("/process/ioPriority", R"({"class": "IOPRIO_CLASS_BE", "priority": 6})");
  bundle.script("sleep 1000");
  {
    Running running(bundle);
    CHECK_EQUAL(running.error(), "");
    if (running.ok()) CHECK(::syscall(SYS_ioprio_get, 1, running->pid()) == (2 << 13 | 6));
  }
  bundle.set("/process/ioPriority", R"({"class": "IOPRIO_CLASS_BE", "priority": 8})");
  CHECK_CONTAINS(testing::run(bundle).error, "process.ioPriority.priority: must be from 0 to 7");
}

void affinity_of_execs() {
  Bundle bundle;
  bundle.script("sleep 1000");
  Running running(bundle);
  CHECK_EQUAL(running.error(), "");
  if (!running.ok()) return;
  std::string before = testing::shell("grep Cpus_allowed_list /proc/self/status");
  std::string show = "sed -n 's/Cpus_allowed_list:.//p' /proc/self/status";
  bundle.set("/process/execCPUAffinity", R"({"initial": "0"})");
  CHECK_EQUAL(running.exec(bundle.process(show)).output, "0\n");
  bundle.set("/process/execCPUAffinity", R"({"initial": "0", "final": "1"})");
  auto last = running.exec(bundle.process(show));
  // Where there is one processor only, the second cannot be had.
  if (::sysconf(_SC_NPROCESSORS_ONLN) > 1)
    CHECK_EQUAL(last.error + last.output, "1\n");
  else
    CHECK_CONTAINS(last.error, "set process.execCPUAffinity");
  CHECK_EQUAL(testing::shell("grep Cpus_allowed_list /proc/self/status"), before);
  bundle.set("/process/execCPUAffinity", R"({"initial": "3-1"})");
  CHECK_CONTAINS(running.exec(bundle.process(show)).error,
                 "process.execCPUAffinity.initial: must be a list of numbers and ranges");
}

void memory_policy() {
  Bundle bundle;
  bundle.set("/linux/memoryPolicy", R"({"mode": "MPOL_BIND", "nodes": "0",
                                        "flags": ["MPOL_F_STATIC_NODES"]})");
  bundle.script("sleep 1000");
  {
    Running running(bundle);
    CHECK_EQUAL(running.error(), "");
    if (!running.ok()) return;
    auto maps = [](const std::string& pid) {
      return testing::shell("grep -m1 -o 'bind[=a-z]*:0' /proc/" + pid + "/numa_maps");
    };
    CHECK_EQUAL(maps(std::to_string(running->pid())), "bind=static:0\n");
    CHECK_CONTAINS(running.exec(bundle.process("cat /proc/self/numa_maps")).output,
                   "bind=static:0");
  }
  bundle.set("/linux/memoryPolicy", R"({"mode": "MPOL_BIND", "nodes": "900"})");
  CHECK_CONTAINS(testing::run(bundle).error, "set linux.memoryPolicy: invalid argument");
  bundle.set("/linux/memoryPolicy", R"({"mode": "MPOL_NEAR"})");
  CHECK_CONTAINS(testing::run(bundle).error, "linux.memoryPolicy.mode: must be a known");
}

void lists() {
  oci::json::At at{"x"};
  auto bits = oci::parse_bits("0-2, 5,64", at);
  CHECK(bits && bits->size() == 2 && (*bits)[0] == 0x27 && (*bits)[1] == 1);
  for (const char* bad : {"", "a", "1-", "2-1", "1,", "-1", "99999", "1 2"})
    CHECK(!oci::parse_bits(bad, at));
}

}  // namespace

int main() {
  lists();
  if (!testing::can_run_containers()) return testing::result() == 0 ? testing::kSkipped : 1;
  policies();
  in_a_user_namespace();
  io_priority();
  affinity_of_execs();
  memory_policy();
  testing::check_leftovers();
  return testing::result();
}
