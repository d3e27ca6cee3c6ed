// Namespaces: of the container's own, joined by path, and user namespaces with their maps.
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include "native/kernel/process.h"
#include "native/oci/testing/bundle.h"
#include "native/oci/testing/check.h"

namespace {

using namespace davit;
using testing::Bundle;
using testing::Running;

std::string namespace_of(pid_t pid, const char* kind) {
  std::string path = "/proc/" + std::to_string(pid) + "/ns/" + kind;
  char target[128];
  ssize_t n = ::readlink(path.c_str(), target, sizeof target);
  return n < 0 ? "?" : std::string(target, static_cast<std::size_t>(n));
}

void own_and_shared() {
  Bundle bundle;
  bundle.set("/linux/namespaces", R"([{"type": "pid"}, {"type": "mount"}, {"type": "ipc"},
                                      {"type": "uts"}, {"type": "time"}])");
  bundle.script("sleep 1000");
  Running running(bundle);
  CHECK_EQUAL(running.error(), "");
  if (!running.ok()) return;
  for (const char* own : {"pid", "mnt", "ipc", "uts", "time"})
    CHECK(namespace_of(running->pid(), own) != namespace_of(::getpid(), own));
  for (const char* shared : {"net", "user", "cgroup"})
    CHECK_EQUAL(namespace_of(running->pid(), shared), namespace_of(::getpid(), shared));
  // The caller's own are as they were.
  CHECK_EQUAL(testing::shell("readlink /proc/self/ns/pid"), namespace_of(::getpid(), "pid") + "\n");
}

// A pod: a sandbox whose namespaces a second container joins.
void joined_by_path() {
  Bundle sandbox, member;
  sandbox.script("sleep 1000");
  Running pod(sandbox);
  CHECK_EQUAL(pod.error(), "");
  if (!pod.ok()) return;
  std::string base = "/proc/" + std::to_string(pod->pid()) + "/ns/";
  member.remove("/hostname")
      .set("/linux/namespaces", "[{\"type\":\"mount\"},{\"type\":\"pid\",\"path\":\"" + base +
                                    "pid\"},{\"type\":\"network\",\"path\":\"" + base +
                                    "net\"},{\"type\":\"ipc\",\"path\":\"" + base +
                                    "ipc\"},{\"type\":\"uts\",\"path\":\"" + base + "uts\"}]");
  member.script("hostname; cat /proc/1/comm; sleep 1000");
  Running running(member);
  CHECK_EQUAL(running.error(), "");
  if (!running.ok()) return;
  for (const char* kind : {"pid", "net", "ipc", "uts"})
    CHECK_EQUAL(namespace_of(running->pid(), kind), namespace_of(pod->pid(), kind));
  CHECK(namespace_of(running->pid(), "mnt") != namespace_of(pod->pid(), "mnt"));
  CHECK_EQUAL(running.exec(member.process("hostname; tr '\\0' ' ' < /proc/1/cmdline")).output,
              "testhost\nsleep 1000 ");
  // The caller's children are born in its own pid namespace again.
  CHECK_EQUAL(testing::shell("readlink /proc/self/ns/pid"), namespace_of(::getpid(), "pid") + "\n");
}

void a_path_of_another_kind_is_refused() {
  Bundle bundle;
  bundle.set("/linux/namespaces/1/path", "\"/proc/self/ns/uts\"");
  CHECK_CONTAINS(testing::run(bundle).error,
                 "namespace path \"/proc/self/ns/uts\" is of another type");
  bundle.set("/linux/namespaces/1/path", "\"/absent\"");
  CHECK_EQUAL(testing::run(bundle).error, "namespace: open \"/absent\": no such file or directory");
}

void clocks() {
  Bundle bundle;
  bundle.set("/linux/namespaces/-", R"({"type": "time"})");
  bundle.set("/linux/timeOffsets", R"({"boottime": {"secs": 1000000, "nanosecs": 0}})");
  bundle.script("[ $(cut -d. -f1 /proc/uptime) -ge 1000000 ] && echo later");
  CHECK_EQUAL(testing::run(bundle).output, "later\n");
}

constexpr const char* kMaps = R"([{"containerID": 0, "hostID": 100000, "size": 65536}])";

void user_namespace() {
  Bundle bundle;
  bundle.prepare("chown -R 100000:100000 $R; chmod 700 $B");  // the way there is the host's alone
  bundle.prepare("mkdir $B/data; echo hello > $B/data/file; chmod 755 $B/data");
  bundle.set("/linux/namespaces/-", R"({"type": "user"})");
  bundle.set("/linux/namespaces/-", R"({"type": "cgroup"})");
  bundle.set("/linux/uidMappings", kMaps).set("/linux/gidMappings", kMaps);
  bundle.set("/mounts/-", R"({"destination": "/data", "type": "bind", "source": "data",
                              "options": ["rbind", "ro"]})");
  bundle.set("/mounts/-", R"({"destination": "/sys/fs/cgroup", "type": "cgroup",
                              "source": "cgroup", "options": ["ro"]})");
  bundle.set("/process/rlimits", R"([{"type": "RLIMIT_NOFILE", "soft": 99, "hard": 99}])");
  bundle.set("/process/oomScoreAdj", "100");
  bundle.set("/linux/sysctl", R"({"net.ipv4.ip_forward": "1"})");
  std::string script =
      "id -u; cat /data/file; stat -c %u /data/file; ulimit -n; "
      "cat /proc/self/oom_score_adj; tr -s ' ' < /proc/self/uid_map; "
      "echo x > /dev/null && ls /sys/fs/cgroup | wc -l; hostname";
  bundle.script(script + "; sleep 1000");
  Running running(bundle);
  CHECK_EQUAL(running.error(), "");
  if (!running.ok()) return;
  CHECK_EQUAL(testing::shell("stat -c %u /proc/" + std::to_string(running->pid())), "100000\n");
  auto exec = running.exec(bundle.process(script));
  CHECK_EQUAL(exec.error, "");
  CHECK_CONTAINS(exec.output, "0\nhello\n65534\n99\n100\n 0 100000 65536\n");
  CHECK_CONTAINS(exec.output, "\ntesthost\n");

  // A second container of the pod: user and network namespaces joined, a pid namespace of its own.
  Bundle member;
  member.prepare("chown -R 100000:100000 $R");
  std::string base = "/proc/" + std::to_string(running->pid()) + "/ns/";
  member.set("/linux/namespaces",
             "[{\"type\":\"mount\"},{\"type\":\"pid\"},{\"type\":\"uts\"},{\"type\":\"ipc\"},"
             "{\"type\":\"network\",\"path\":\"" +
                 base +
                 "net\"},"
                 "{\"type\":\"user\",\"path\":\"" +
                 base + "user\"}]");
  member.script("id -u; echo $$; hostname; sleep 1000");
  Running second(member);
  CHECK_EQUAL(second.error(), "");
  if (!second.ok()) return;
  for (const char* kind : {"user", "net"})
    CHECK_EQUAL(namespace_of(second->pid(), kind), namespace_of(running->pid(), kind));
  CHECK(namespace_of(second->pid(), "pid") != namespace_of(running->pid(), "pid"));
  CHECK_EQUAL(
      second.exec(member.process("id -u; tr -d 0-9 < /proc/1/comm | grep -c . ; hostname")).output,
      "0\n1\ntesthost\n");
}

void without_a_mount_namespace() {
  Bundle bundle;
  bundle.set("/linux/namespaces", R"([{"type": "pid"}])").remove("/hostname");
  bundle.prepare("mkdir -p $R/home/user");
  bundle.set("/linux/maskedPaths/-", "\"/home\"");
  bundle.script("sleep 1000");
  std::string before = testing::shell("cat /proc/self/mountinfo");
  {
    Running running(bundle);
    if (testing::contains(running.error(), "which takes Linux 6.15")) {
      std::puts("skipped: this kernel mounts nothing on what is attached nowhere");
      return;
    }
    CHECK_EQUAL(running.error(), "");
    if (!running.ok()) return;
    CHECK_EQUAL(namespace_of(running->pid(), "mnt"), namespace_of(::getpid(), "mnt"));
    // Nothing of it is to be seen on the host, and all of it in the container.
    CHECK_EQUAL(testing::shell("cat /proc/self/mountinfo"), before);
    auto exec = running.exec(bundle.process(
        "cat /proc/1/comm; ls /home | wc -l; echo x > /dev/null; stat -c %t:%T /dev/null; "
        "echo x > /proc/sys/kernel/domainname; cd /..; ls"));
    CHECK_CONTAINS(exec.error + exec.output, "sleep\n0\n1:3\n");
    CHECK_CONTAINS(exec.error + exec.output, "Read-only file system");
    CHECK_CONTAINS(exec.error + exec.output, "\nbin\n");
  }
  CHECK_EQUAL(testing::shell("cat /proc/self/mountinfo"), before);
  bundle.set("/linux/rootfsPropagation", "\"shared\"");
  CHECK_CONTAINS(testing::run(bundle).error, "linux.rootfsPropagation: needs a mount namespace");
  bundle.remove("/linux/rootfsPropagation").set("/hostname", "\"mine\"");
  CHECK_CONTAINS(testing::run(bundle).error, "hostname: needs a uts namespace");
  bundle.remove("/hostname").set("/linux/namespaces/-", R"({"type": "user"})");
  for (const char* kind : {"uidMappings", "gidMappings"})
    bundle.set((std::string("/linux/") + kind).c_str(),
               R"([{"containerID": 0, "hostID": 100000, "size": 65536}])");
  CHECK_CONTAINS(testing::run(bundle).error, "mounts: needs a mount namespace");
}

// A root of its own in a mount namespace that somebody else made.
void joined_mount_namespace() {
  Bundle other, bundle;
  other.script("sleep 1000");
  Running running(other);
  CHECK_EQUAL(running.error(), "");
  if (!running.ok()) return;
  std::string path = "/proc/" + std::to_string(running->pid()) + "/ns/mnt";
  bundle.prepare("touch $R/mark");
  bundle.set("/linux/namespaces/4", "{\"type\":\"mount\",\"path\":\"" + path + "\"}");
  bundle.script("ls /mark; mount | grep -c ' on /dev type tmpfs'; readlink /proc/self/ns/mnt");
  auto outcome = testing::run(bundle);
  CHECK_EQUAL(outcome.error, "");
  CHECK_EQUAL(outcome.output, "/mark\n1\n" + namespace_of(running->pid(), "mnt") + "\n");
}

void network_devices() {
  Bundle bundle;
  std::string one = "dvt" + std::to_string(::getpid() % 100000);
  bundle.prepare("ip link add " + one + " type veth peer name " + one +
                 "p; ip addr add 10.98.76.5/24 dev " + one + "; ip addr add fd00:98::5/64 dev " +
                 one + " nodad; ip link set " + one + " up");
  bundle.set(("/linux/netDevices/" + one).c_str(), R"({"name": "inner0"})");
  bundle.set(("/linux/netDevices/" + one + "p").c_str(), R"({"name": "other%d"})");
  bundle.script("ip addr show dev inner0; ip link show dev other0");
  auto outcome = testing::run(bundle);
  CHECK_EQUAL(outcome.error, "");
  CHECK_CONTAINS(outcome.output, "inet 10.98.76.5/24 scope global");
  CHECK_CONTAINS(outcome.output, "inet6 fd00:98::5/64 scope global");
  CHECK_CONTAINS(outcome.output, "inner0@other0: <BROADCAST,MULTICAST,UP");
  CHECK_CONTAINS(outcome.output, "other0@inner0: <BROADCAST,MULTICAST,UP");
  // They have ended with the namespace.
  auto again = testing::run(bundle);
  CHECK_CONTAINS(again.error, "move \"" + one + "\" as \"inner0\": netlink: no such device");
  bundle.prepare("ip link add " + one + " type veth peer name " + one + "p");
  bundle.set(("/linux/netDevices/" + one).c_str(), R"({"name": "lo"})")
      .remove(("/linux/netDevices/" + one + "p").c_str());
  CHECK_CONTAINS(testing::run(bundle).error, "as \"lo\": the name is taken there: file exists");
  bundle.prepare("ip link del " + one);
}

// By a path that leads back to the host.
void the_hosts_namespaces_are_not_set() {
  Bundle bundle;
  bundle.set("/linux/namespaces/3", R"({"type": "uts", "path": "/proc/self/ns/uts"})");
  CHECK_CONTAINS(testing::run(bundle).error, "hostname: needs a uts namespace");
  bundle.remove("/hostname").set("/domainname", "\"mine\"");
  CHECK_CONTAINS(testing::run(bundle).error, "domainname: needs a uts namespace");
  bundle.remove("/domainname").set("/linux/sysctl", R"({"net.ipv4.ip_forward": "1"})");
  bundle.set("/linux/namespaces/1", R"({"type": "network", "path": "/proc/self/ns/net"})");
  CHECK_CONTAINS(testing::run(bundle).error, "needs a namespace of its own");
}

void user_namespace_without_maps_is_refused() {
  Bundle bundle;
  bundle.set("/linux/namespaces/-", R"({"type": "user"})");
  CHECK_CONTAINS(testing::run(bundle).error, "linux.uidMappings");
}

}  // namespace

int main() {
  if (!testing::can_run_containers()) return testing::kSkipped;
  own_and_shared();
  joined_by_path();
  a_path_of_another_kind_is_refused();
  clocks();
  user_namespace();
  user_namespace_without_maps_is_refused();
  without_a_mount_namespace();
  joined_mount_namespace();
  the_hosts_namespaces_are_not_set();
  network_devices();
  testing::check_leftovers();
  return testing::result();
}
