// cgroup v2 for real: containers in a mount namespace where a cgroup2 alone is at /sys/fs/cgroup,
// as on a machine without v1. Of the controllers only those that no v1 hierarchy has are there:
// hugetlb here.
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fcntl.h>

#include "native/kernel/file.h"
#include "native/kernel/process.h"
#include "native/oci/container.h"
#include "native/oci/testing/bundle.h"
#include "native/oci/testing/check.h"

namespace {

using namespace davit;
using testing::Bundle;
using testing::Running;

constexpr char kRoot[] = "/sys/fs/cgroup";

bool only_v2() {
  return ::unshare(CLONE_NEWNS) == 0 &&
         ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, "") == 0 &&
         ::mount("cgroup2", kRoot, "cgroup2", 0, nullptr) == 0;
}

std::string cgroup_of(const Bundle& bundle) {
  std::string found = testing::shell("find /sys/fs/cgroup -type d -name " + bundle.id());
  return found.substr(0, found.find('\n'));
}
std::string read(const std::string& file) {
  return kernel::read_file(AT_FDCWD, file.c_str()).value_or("(none)");
}
std::string owner_of(const std::string& path) {
  struct stat st;
  return ::stat(path.c_str(), &st) == 0 ? std::to_string(st.st_uid) : "none";
}
bool has_hugetlb() {
  bool has = testing::contains(read(std::string(kRoot) + "/cgroup.controllers"), "hugetlb") &&
             ::access("/sys/kernel/mm/hugepages/hugepages-2048kB", F_OK) == 0;
  if (!has) std::fprintf(stderr, "no hugetlb controller in v2 here: its limits are not tested\n");
  return has;
}

void huge_pages() {
  if (!has_hugetlb()) return;
  Bundle bundle;
  bundle.set("/linux/resources", R"({"hugepageLimits": [{"pageSize": "2MB", "limit": 4194304}],
                                     "unified": {"cgroup.max.depth": "3"}})");
  bundle.script("sleep 1000");
  Running running(bundle);
  CHECK_EQUAL(running.error(), "");
  if (!running.ok()) return;
  std::string path = cgroup_of(bundle);
  CHECK_EQUAL(read(path + "/hugetlb.2MB.max"), "4194304\n");
  CHECK_EQUAL(read(path + "/hugetlb.2MB.rsvd.max"), "4194304\n");
  CHECK_EQUAL(read(path + "/cgroup.max.depth"), "3\n");
  // Passed on by everybody above, and not by the container itself.
  CHECK_CONTAINS(read(path + "/../cgroup.subtree_control"), "hugetlb");
  CHECK_EQUAL(read(path + "/cgroup.subtree_control"), "");
  auto updated = running->update(R"({"hugepageLimits": [{"pageSize": "2MB", "limit": 0}]})");
  CHECK_EQUAL(updated ? "" : updated.error().text(), "");
  CHECK_EQUAL(read(path + "/hugetlb.2MB.max"), "0\n");
  auto stats = running->stats();
  const auto* v2 = stats ? std::get_if<oci::StatsV2>(&*stats) : nullptr;
  CHECK(v2 != nullptr && !v2->hugetlb.empty() && v2->hugetlb[0].max == 0);
  auto refused = running->update(R"({"memory": {"limit": 1000000}})");
  CHECK_CONTAINS(refused ? "" : refused.error().text(), "the memory controller is not enabled");
}

struct Delegated {
  const char* what;
  bool user, name_space, writable;
  const char* owner;
};

void delegation() {
  constexpr const char* kMaps = R"([{"containerID": 0, "hostID": 100000, "size": 65536}])";
  constexpr Delegated kAll[] = {
      {"user and cgroup namespace, to be written", true, true, true, "100007"},
      {"to be read only", true, true, false, "0"},
      {"without a cgroup namespace", true, false, true, "0"},
      {"without a user namespace", false, true, true, "7"},
  };
  for (const Delegated& one : kAll) {
    Bundle bundle;
    if (one.user) {
      bundle.prepare("chown -R 100000:100000 $R; chmod 711 $B");
      bundle.set("/linux/namespaces/-", R"({"type": "user"})");
      bundle.set("/linux/uidMappings", kMaps).set("/linux/gidMappings", kMaps);
    }
    if (one.name_space) bundle.set("/linux/namespaces/-", R"({"type": "cgroup"})");
    bundle.set("/mounts/-", std::string(R"({"destination": "/sys/fs/cgroup", "type": "cgroup",
                              "source": "cgroup", "options": ["nosuid")") +
                                (one.writable ? "]}" : R"(, "ro"]})"));
    bundle.set("/process/user", R"({"uid": 7, "gid": 7})");
    bundle.script("sleep 1000");
    Running running(bundle);
    CHECK_EQUAL(running.error(), "");
    if (!running.ok()) continue;
    std::string path = cgroup_of(bundle);
    for (const char* file : {"", "/cgroup.procs", "/cgroup.threads", "/cgroup.subtree_control"})
      CHECK_EQUAL(std::string(one.what) + file + " " + owner_of(path + file),
                  std::string(one.what) + file + " " + one.owner);
    // What limits the cgroup stays the machine's.
    CHECK_EQUAL(owner_of(path + "/cgroup.max.depth") + owner_of(path + "/cgroup.freeze"), "00");
  }
}

// A container that is its own manager of cgroups: no process may be beside the ones it has made.
void exec_beside_cgroups_of_its_own() {
  Bundle bundle;
  bundle.set("/linux/namespaces/-", R"({"type": "cgroup"})");
  bundle.set("/mounts/-", R"({"destination": "/sys/fs/cgroup", "type": "cgroup",
                              "source": "cgroup", "options": ["nosuid"]})");
  bundle.script(
      "cd /sys/fs/cgroup && mkdir -p init/deep other && echo 1 > init/deep/cgroup.procs;"
      "echo +hugetlb > cgroup.subtree_control; mkdir other/threads;"
      "echo threaded > other/threads/cgroup.type; touch /tmp/ready; sleep 1000");
  Running running(bundle);
  CHECK_EQUAL(running.error(), "");
  if (!running.ok()) return;
  std::string path = cgroup_of(bundle);
  std::string ready = bundle.rootfs() + "/tmp/ready";
  for (int i = 0; i < 300 && ::access(ready.c_str(), F_OK) != 0; ++i) ::usleep(10'000);
  auto where = [&](const oci::ExecOptions& options) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return std::string("no pipe");
    Fd reader(ends[0]), writer(ends[1]);
    auto process = running->exec(bundle.process("cat /proc/self/cgroup"),
                                 {-1, writer.get(), writer.get()}, options);
    writer.reset();
    if (!process) return process.error().text();
    std::string text = kernel::read_all(reader.get(), 1 << 16).value_or("");
    (void)kernel::reap(process->pid);
    std::size_t at = text.find("0::");
    return at == std::string::npos ? text : text.substr(at);
  };
  if (has_hugetlb()) {
    CHECK_EQUAL(read(path + "/cgroup.subtree_control"), "hugetlb\n");
    CHECK_EQUAL(where({}), "0::/init/deep\n");
  }
  oci::ExecOptions other;
  other.cgroups = {"other"};
  CHECK_EQUAL(where(other), "0::/other\n");
  other.cgroups = {"other/threads"};
  CHECK_EQUAL(where(other), "0::/other/threads\n");
  other.cgroups = {"absent"};
  CHECK_CONTAINS(where(other), "no such file or directory");
  other.cgroups = {"../.."};
  CHECK_CONTAINS(where(other), "is not below the container's");
}

// A change of the rules takes the place of the old ones at once, whoever has a program beside ours.
void devices_are_replaced() {
  Bundle bundle;
  bundle.set(
      "/process/capabilities",
      R"({"bounding": ["CAP_MKNOD"], "effective": ["CAP_MKNOD"], "permitted": ["CAP_MKNOD"]})");
  bundle.script("sleep 1000");
  bundle.set("/linux/resources/devices", R"([{"allow": false, "access": "rwm"}])");
  Running running(bundle);
  CHECK_EQUAL(running.error(), "");
  if (!running.ok()) return;
  auto open_it = [&] {
    return running.exec(bundle.process("[ -e /dev/d ] || mknod /dev/d c 10 237; (: < /dev/d) 2>&1"))
        .output;
  };
  CHECK_CONTAINS(open_it(), "not permitted");
  for (const char* major : {"10", "11"}) {
    auto updated = running->update(
        R"({"devices": [{"allow": false, "access": "rwm"},
            {"allow": true, "type": "c", "major": )" +
        std::string(major) + R"(, "access": "rw"}]})");
    CHECK_EQUAL(updated ? "" : updated.error().text(), "");
    CHECK(testing::contains(open_it(), "not permitted") == (major[1] == '1'));
  }
}

}  // namespace

int main() {
  if (!testing::can_run_containers() || !only_v2()) return testing::kSkipped;
  huge_pages();
  delegation();
  exec_beside_cgroups_of_its_own();
  devices_are_replaced();
  testing::check_leftovers();
  return testing::result();
}
