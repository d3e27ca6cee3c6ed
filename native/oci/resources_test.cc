// Limits of real containers, and what can be done to them while they run.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "native/kernel/process.h"
#include "native/oci/testing/bundle.h"
#include "native/oci/testing/check.h"

namespace {

using namespace davit;
using testing::Bundle;
using testing::Running;

// A cgroup file of the test's container: the first that exists of v1's and v2's name.
std::string cgroup_file(const Bundle& bundle, const char* v1, const char* v2) {
  std::string find = "find /sys/fs/cgroup -path '*/" + bundle.id() + "/";
  std::string path = testing::shell(find + v1 + "' | head -1");
  if (path.empty()) path = testing::shell(find + v2 + "' | head -1");
  return path.empty() ? "(none)" : testing::shell("cat " + path);
}

template <typename Condition>
bool soon(const Condition& condition) {
  for (int tries = 0; tries < 200; ++tries) {
    if (condition()) return true;
    ::usleep(10'000);
  }
  return false;
}

void limits_are_set_and_updated() {
  Bundle bundle;
  bundle.set("/linux/resources", R"({
      "memory": {"limit": 67108864, "reservation": 33554432},
      "cpu": {"shares": 512, "quota": 50000, "period": 100000, "cpus": "0"},
      "pids": {"limit": 44}})");
  bundle.script("sleep 1000");
  Running running(bundle);
  CHECK_EQUAL(running.error(), "");
  if (!running.ok()) return;
  CHECK_EQUAL(cgroup_file(bundle, "memory.limit_in_bytes", "memory.max"), "67108864\n");
  CHECK_EQUAL(cgroup_file(bundle, "memory.soft_limit_in_bytes", "memory.low"), "33554432\n");
  CHECK_EQUAL(cgroup_file(bundle, "pids.max", "pids.max"), "44\n");
  CHECK_EQUAL(cgroup_file(bundle, "cpuset.cpus", "cpuset.cpus"), "0\n");
  CHECK_CONTAINS(cgroup_file(bundle, "cpu.cfs_quota_us", "cpu.max"), "50000");
  auto updated = running->update(R"({"memory": {"limit": 134217728}, "pids": {"limit": -1},
                                     "cpu": {"quota": 150000, "period": 200000}})");
  CHECK_EQUAL(updated ? "" : updated.error().text(), "");
  CHECK_EQUAL(cgroup_file(bundle, "memory.limit_in_bytes", "memory.max"), "134217728\n");
  CHECK_EQUAL(cgroup_file(bundle, "pids.max", "pids.max"), "max\n");
  CHECK_CONTAINS(cgroup_file(bundle, "cpu.cfs_quota_us", "cpu.max"), "150000");
  CHECK(!running->update(R"({"memory": {"limit": "much"}})"));
}

void a_limit_that_is_refused_fails_create() {
  Bundle bundle;
  bundle.set("/linux/resources", R"({"cpu": {"cpus": "1000"}})");
  CHECK_CONTAINS(testing::run(bundle).error, "cpuset.cpus");
}

void processes_are_limited() {
  Bundle bundle;
  bundle.set("/linux/resources", R"({"pids": {"limit": 5}})");
  bundle.script("for i in 1 2 3 4 5 6 7 8; do sleep 1 & done; wait");
  CHECK_CONTAINS(testing::run(bundle).output, "can't fork: Resource temporarily unavailable");
}

void devices_are_denied_but_those_given() {
  Bundle bundle;
  bundle.set("/linux/resources", R"({"devices": [
      {"allow": false, "access": "rwm"},
      {"allow": true, "type": "c", "major": 10, "minor": 229, "access": "rw"}]})");
  bundle.script(
      "mknod -m 666 /dev/given c 10 229; mknod -m 666 /dev/kmsg c 1 11; "
      "(: < /dev/kmsg) 2>&1; (: < /dev/given) 2>&1; : < /dev/null && echo null");
  auto outcome = testing::run(bundle);
  CHECK_CONTAINS(outcome.output, "/dev/kmsg: Operation not permitted");
  // Whether or not this kernel has it, it is not forbidden.
  CHECK(!testing::contains(outcome.output, "/dev/given: Operation not permitted"));
  CHECK_CONTAINS(outcome.output, "null\n");
}

void pause_and_resume() {
  Bundle bundle;
  bundle.script("while :; do echo x >> /ticks; sleep 0.01; done");
  Running running(bundle);
  CHECK_EQUAL(running.error(), "");
  if (!running.ok()) return;
  std::string count = "wc -c < " + bundle.rootfs() + "/ticks";
  CHECK(soon([&] { return testing::shell(count + " 2>/dev/null") > "2"; }));
  CHECK(running->pause().has_value());
  CHECK(running->paused().value_or(false));
  CHECK_EQUAL(running.exec(bundle.process("true")).error, "cannot exec in a paused container");
  std::string before = testing::shell(count);
  ::usleep(100'000);
  CHECK_EQUAL(testing::shell(count), before);
  CHECK(running->resume().has_value());
  CHECK(!running->paused().value_or(true));
  CHECK(soon([&] { return testing::shell(count) != before; }));
  // A paused container is killed all the same.
  CHECK(running->pause().has_value());
  CHECK(running->kill(SIGKILL).has_value());
  CHECK(WIFSIGNALED(running.wait()));
}

void statistics() {
  Bundle bundle;
  bundle.set("/linux/resources", R"({"memory": {"limit": 67108864}, "pids": {"limit": 44}})");
  bundle.script("sleep 1000 & i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; sleep 1000");
  Running running(bundle);
  CHECK_EQUAL(running.error(), "");
  if (!running.ok()) return;
  CHECK(soon([&] { return running->pids()->size() >= 2; }));
  ::usleep(200'000);
  auto stats = running->stats();
  CHECK_EQUAL(stats ? "" : stats.error().text(), "");
  if (!stats) return;
  if (const auto* v1 = std::get_if<oci::StatsV1>(&*stats)) {
    CHECK(v1->pids_current >= 2 && v1->pids_limit == 44);
    CHECK(v1->cpu_total > 1'000'000 && v1->cpu_user > 0 && !v1->cpu_per_cpu.empty());
    CHECK(v1->usage.limit == 67108864 && v1->usage.usage > 0 && v1->usage.max >= v1->usage.usage);
    CHECK(oci::counter(v1->memory, "total_rss") > 0);
    CHECK(oci::counter(v1->memory, "hierarchical_memory_limit") == 67108864);
  } else {
    const auto& v2 = std::get<oci::StatsV2>(*stats);
    CHECK(v2.pids_current >= 2 && v2.pids_limit == 44);
    CHECK(oci::counter(v2.cpu, "usage_usec") > 1000 && v2.memory_limit == 67108864);
  }
}

void running_out_of_memory_is_told() {
  Bundle bundle;
  bundle.set("/linux/resources", R"({"memory": {"limit": 16777216, "swap": 16777216}})");
  // One process of several is killed: init lives on.
  bundle.script("read x < /go; (x=x; while :; do x=$x$x; done); echo $? > /code; sleep 1000");
  bundle.prepare("mkfifo $R/go");
  Running running(bundle);
  CHECK_EQUAL(running.error(), "");
  if (!running.ok()) return;
  auto watch = running->oom_watch();
  CHECK_EQUAL(watch ? "" : watch.error().text(), "");
  if (!watch) return;
  CHECK(watch->read().value_or(9) == 0);
  bundle.prepare("echo > $R/go");
  pollfd item{watch->fd.get(), POLLIN, 0};
  CHECK(::poll(&item, 1, 10'000) == 1);
  CHECK(soon([&] { return watch->read().value_or(0) == 1; }));
  CHECK(soon(
      [&] { return testing::shell("cat " + bundle.rootfs() + "/code 2>/dev/null") == "137\n"; }));
}

void a_cgroup_in_use_is_not_taken() {
  Bundle first, second;
  first.script("sleep 1000");
  Running running(first);
  CHECK_EQUAL(running.error(), "");
  if (!running.ok()) return;
  second.set("/linux/cgroupsPath",
             "\"/davit-test-" + std::to_string(::getpid()) + "/" + first.id() + "\"");
  CHECK_CONTAINS(testing::run(second).error, "has processes of somebody else's in it");
  // And nobody was hurt.
  CHECK(running->pids()->size() == 1 && running->kill(0).has_value());
}

void cgroups_that_a_container_made_go_with_it() {
  Bundle bundle;
  bundle.script("sleep 1000");
  Running running(bundle);
  CHECK_EQUAL(running.error(), "");
  if (!running.ok()) return;
  // As a container that may write there would.
  std::string nested =
      "for d in $(find /sys/fs/cgroup -type d -name " + bundle.id() + "); do mkdir -p $d/a/b; done";
  testing::shell(nested);
  CHECK_CONTAINS(testing::shell("find /sys/fs/cgroup -type d -path '*" + bundle.id() + "/a/b'"),
                 "/a/b");
}  // Bundle's end checks that none is left

}  // namespace

int main() {
  if (!testing::can_run_containers()) return testing::kSkipped;
  limits_are_set_and_updated();
  a_limit_that_is_refused_fails_create();
  processes_are_limited();
  devices_are_denied_but_those_given();
  pause_and_resume();
  statistics();
  running_out_of_memory_is_told();
  a_cgroup_in_use_is_not_taken();
  cgroups_that_a_container_made_go_with_it();
  testing::check_leftovers();
  return testing::result();
}
