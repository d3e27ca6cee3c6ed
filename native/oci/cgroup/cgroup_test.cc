// The rules behind cgroups without a kernel: where they are, what is written; v2's files on a
// folder of plain files, since this may be a machine whose limits are v1's. Freezing, killing
// and the eBPF device filter are v2's own for real where a cgroup2 is mounted.
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "native/kernel/file.h"
#include "native/oci/cgroup/cgroup.h"
#include "native/oci/cgroup/devices.h"
#include "native/oci/cgroup/hierarchy.h"
#include "native/oci/cgroup/limits.h"
#include "native/oci/cgroup/oom.h"
#include "native/oci/testing/bundle.h"
#include "native/oci/testing/check.h"

namespace {

using namespace davit;
using namespace davit::oci;

class Folder {
 public:
  Folder() {
    char path[] = "/tmp/davit-cgroup-test.XXXXXX";
    if (::mkdtemp(path) == nullptr) ::abort();
    path_ = path;
    fd_.reset(::open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }
  ~Folder() { (void)::system(("rm -rf " + path_).c_str()); }
  const std::string& path() const { return path_; }
  int fd() const { return fd_.get(); }
  void file(const char* name, const char* content = "") {
    Fd fd(::openat(fd_.get(), name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    CHECK(::write(fd.get(), content, ::strlen(content)) >= 0);
  }
  std::string read(const char* name) const {
    return kernel::read_file(fd_.get(), name).value_or("(none)");
  }

 private:
  std::string path_;
  Fd fd_;
};

std::string path_or_error(std::string_view path, const char* own = "/own") {
  auto found = cgroup_path(path, own, "id");
  return found ? *found : "error: " + found.error().text();
}

void paths() {
  CHECK_EQUAL(path_or_error("/a/b"), "/a/b");
  CHECK_EQUAL(path_or_error("rel/b"), "/own/rel/b");
  CHECK_EQUAL(path_or_error("rel", "/"), "/rel");
  CHECK_EQUAL(path_or_error(""), "/own/id");
  CHECK_EQUAL(path_or_error("system.slice:davit:x"), "/system.slice/davit-x.scope");
  CHECK_EQUAL(path_or_error("a-b.slice:cri:x"), "/a.slice/a-b.slice/cri-x.scope");
  CHECK_EQUAL(path_or_error(":p:x"), "/system.slice/p-x.scope");
  CHECK_CONTAINS(path_or_error("a:b"), "is not of the form slice:prefix:name");
  CHECK_CONTAINS(path_or_error("/a/../../b"), "must not contain \"..\"");
  CHECK_CONTAINS(path_or_error("../x"), "must not contain \"..\"");
  for (const char* root : {"/", "//", "/."})
    CHECK_CONTAINS(path_or_error(root), "must not be the root");
}

void hierarchies() {
  Folder root;
  for (const char* name : {"cpu,cpuacct", "memory", "systemd", "unified"})
    CHECK(::mkdirat(root.fd(), name, 0755) == 0);
  auto found = find_hierarchies(
      root.path(), "4:cpu,cpuacct:/a\n3:memory:/\n2:absent:/\n1:name=systemd:/s\n0::/u\n");
  CHECK(found && found->all.size() == 4 && !found->unified);
  if (found && found->all.size() == 4) {
    CHECK_EQUAL(found->all[0].mount, root.path() + "/cpu,cpuacct");
    CHECK(found->all[0].has("cpuacct") && !found->all[0].has("cpua"));
    CHECK_EQUAL(found->all[0].own_path, "/a");
    CHECK_EQUAL(found->all[2].mount, root.path() + "/systemd");
    CHECK(found->all[3].v2);
  }
  Folder pure;
  found = find_hierarchies(pure.path(), "0::/user.slice\n");
  CHECK(found && found->unified && found->all.size() == 1);
  CHECK(!find_hierarchies(pure.path(), "3:memory:/\n"));
}

Resources parsed(const char* json) {
  auto resources = parse_resources(json);
  CHECK_EQUAL(resources ? "" : resources.error().text(), "");
  return resources ? std::move(*resources) : Resources{};
}

void limits_of_v2() {
  Folder dir;
  for (const char* name :
       {"cpu.weight", "cpu.max", "cpu.max.burst", "cpu.idle", "cpuset.cpus", "cpuset.mems",
        "memory.max", "memory.swap.max", "memory.low", "pids.max", "io.max", "io.weight",
        "hugetlb.2MB.max", "rdma.max", "memory.high", "memory.current"})
    dir.file(name);
  auto applied = apply_limits_v2(dir.fd(), parsed(R"({
      "cpu": {"shares": 1024, "quota": 50000, "period": 100000, "burst": 7, "cpus": "0-1",
              "mems": "0"},
      "memory": {"limit": 9007199254740993, "swap": 9007199254740994, "reservation": 1000},
      "pids": {"limit": 33},
      "blockIO": {"weight": 500, "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 42}]},
      "hugepageLimits": [{"pageSize": "2MB", "limit": 4194304}],
      "rdma": {"mlx": {"hcaHandles": 3}},
      "unified": {"memory.high": "5000"}})"));
  CHECK_EQUAL(applied ? "" : applied.error().text(), "");
  CHECK_EQUAL(dir.read("cpu.weight"), "39");
  CHECK_EQUAL(dir.read("cpu.max"), "50000 100000");
  CHECK_EQUAL(dir.read("cpu.max.burst"), "7");
  CHECK_EQUAL(dir.read("cpuset.cpus") + "," + dir.read("cpuset.mems"), "0-1,0");
  CHECK_EQUAL(dir.read("memory.max"), "9007199254740993");  // above what a double holds
  CHECK_EQUAL(dir.read("memory.swap.max"), "1");
  CHECK_EQUAL(dir.read("memory.low"), "1000");
  CHECK_EQUAL(dir.read("pids.max"), "33");
  CHECK_EQUAL(dir.read("io.weight"), "default 4950");
  CHECK_EQUAL(dir.read("io.max"), "8:0 rbps=42");
  CHECK_EQUAL(dir.read("hugetlb.2MB.max"), "4194304");
  CHECK_EQUAL(dir.read("rdma.max"), "mlx hca_handle=3 hca_object=max");
  CHECK_EQUAL(dir.read("memory.high"), "5000");

  Folder unlimited;
  for (const char* name : {"memory.max", "memory.swap.max", "pids.max", "cpu.max"})
    unlimited.file(name);
  CHECK(apply_limits_v2(unlimited.fd(), parsed(R"({"memory": {"limit": -1}, "pids": {"limit": -1},
                                   "cpu": {"quota": -1}})"))
            .has_value());
  CHECK_EQUAL(unlimited.read("memory.max") + unlimited.read("memory.swap.max") +
                  unlimited.read("pids.max") + unlimited.read("cpu.max"),
              "maxmaxmaxmax");
  auto refused = apply_limits_v2(unlimited.fd(), parsed(R"({"cpu": {"shares": 2}})"));
  CHECK_CONTAINS(refused ? "" : refused.error().text(), "the cpu controller is not enabled");
  for (const char* key : {"../memory.max", "a/b", ".."}) {
    Resources evil;
    evil.unified.emplace_back(key, "1");
    CHECK(!apply_limits_v2(unlimited.fd(), evil));
  }
  CHECK(cpu_weight(2) == 1 && cpu_weight(262144) == 10000);
  CHECK(io_weight(10) == 1 && io_weight(1000) == 10000);
}

// Weights where BFQ is not the scheduler, an idle cgroup, a burst above the quota that stands.
void orders_of_v2() {
  Folder dir;
  for (const char* name : {"cpu.weight", "cpu.idle", "cpu.max", "cpu.max.burst", "io.weight"})
    dir.file(name);
  auto apply = [&](const char* json) {
    auto applied = apply_limits_v2(dir.fd(), parsed(json));
    CHECK_EQUAL(applied ? "" : applied.error().text(), "");
  };
  apply(R"({"cpu": {"shares": 2, "idle": 1}})");
  CHECK_EQUAL(dir.read("cpu.idle") + "," + dir.read("cpu.weight"), "1,");
  apply(R"({"cpu": {"shares": 2, "idle": 0}})");
  CHECK_EQUAL(dir.read("cpu.idle") + "," + dir.read("cpu.weight"), "0,1");
  apply(R"({"cpu": {"period": 5000, "burst": 8}})");
  CHECK_EQUAL(dir.read("cpu.max") + "," + dir.read("cpu.max.burst"), "max 5000,8");
  apply(R"({"blockIO": {"weightDevice": [{"major": 8, "minor": 1, "weight": 1000}]}})");
  CHECK_EQUAL(dir.read("io.weight"), "8:1 10000");
}

// What a kernel says in a cgroup of v2, as it was read from one; and a notice of a kill.
void statistics_of_v2() {
  Folder dir;
  dir.file("cpu.stat", "usage_usec 4000000\nuser_usec 3\nnr_throttled 2\nnr_bursts 1\n");
  dir.file("memory.stat", "anon 1\nfile 2\n");
  dir.file("memory.events", "low 0\nhigh 0\nmax 3\noom 1\noom_kill 0\noom_group_kill 0\n");
  dir.file("memory.current", "5000\n");
  dir.file("memory.max", "max\n");
  dir.file("memory.swap.current", "7\n");
  dir.file("pids.current", "3\n");
  dir.file("pids.max", "44\n");
  dir.file("io.stat", "8:16 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n254:0 \n");
  dir.file("memory.pressure",
           "some avg10=1.50 avg60=0.00 avg300=0.00 total=9\nfull avg10=0.00 avg60=0.00 "
           "avg300=0.25 total=8\n");
  dir.file("rdma.current", "mlx4_0 hca_handle=2 hca_object=2000\n");
  Cgroup cgroup = Cgroup::reopen({"=" + dir.path()});
  auto stats = cgroup.stats();
  const auto* v2 = stats ? std::get_if<StatsV2>(&*stats) : nullptr;
  CHECK(v2 != nullptr);
  if (v2 == nullptr) return;
  CHECK(counter(v2->cpu, "usage_usec") == 4'000'000 && counter(v2->cpu, "nr_bursts") == 1);
  CHECK(counter(v2->memory, "file") == 2 && counter(v2->memory_events, "max") == 3);
  CHECK(v2->memory_usage == 5000 && v2->memory_limit == UINT64_MAX && v2->swap_usage == 7);
  CHECK(v2->pids_current == 3 && v2->pids_limit == 44);
  CHECK(v2->io.size() == 2 && v2->io[0].minor == 16 && v2->io[0].wios == 4);
  CHECK(v2->memory_psi.some.avg10 == 1.5 && v2->memory_psi.full.total == 8);
  CHECK(v2->rdma_current.size() == 1 && v2->rdma_current[0].hca_objects == 2000);

  auto watch = watch_oom(cgroup);
  CHECK(watch && watch->v2 && watch->read().value_or(9) == 0);
  if (!watch) return;
  pollfd item = {watch->fd.get(), POLLIN, 0};
  CHECK(::poll(&item, 1, 0) == 0);
  // The whole container is killed, as memory.oom.group has it.
  dir.file("memory.events", "oom 2\noom_kill 5\noom_group_kill 1\n");
  CHECK(::poll(&item, 1, 1000) == 1 && watch->read().value_or(0) == 5);
  CHECK(::poll(&item, 1, 0) == 0);
}

DeviceRule rule(bool allow, char type, std::optional<std::int64_t> major,
                std::optional<std::int64_t> minor, const char* access) {
  return {allow, type, major, minor, access};
}

void device_policies() {
  auto policy = device_policy({rule(false, 'a', {}, {}, "rwm"), rule(true, 'c', 10, 200, "rw")});
  CHECK(policy && !policy->allow_by_default && policy->exceptions.size() == 12);
  policy = device_policy({rule(true, 'a', {}, {}, "rwm")});
  CHECK(policy && policy->allow_by_default && policy->exceptions.empty());
  policy = device_policy({rule(true, 'a', {}, {}, "rwm"), rule(false, 'b', 8, {}, "rwm")});
  CHECK(policy && policy->allow_by_default && policy->exceptions.size() == 1);
  // "Nothing" again: what was allowed before it does not count.
  policy = device_policy({rule(true, 'c', 10, 200, "rw"), rule(false, 'a', {}, {}, "rwm")});
  CHECK(policy && policy->exceptions.size() == 11);
  // Silently allowing what the config denies would be a hole.
  policy = device_policy({rule(true, 'b', 8, {}, "rwm"), rule(false, 'b', 8, 0, "w")});
  CHECK(!policy);
  if (!policy) CHECK_CONTAINS(policy.error().text(), "cannot deny b 8:0");
}

// In a child in the cgroup: whether each device opens, as "yn...".
std::string opens(const std::string& cgroup) {
  std::string script = "echo 0 > " + cgroup +
                       "/cgroup.procs; for d in null zero full; do "
                       "(: < /dev/$d) 2>&- && printf y || printf n; done;"
                       "(: > /dev/zero) 2>&- && printf y || printf n";
  return testing::shell("sh -c '" + script + "'");
}

// Where a cgroup2 is really mounted; empty where it is not, or not for us.
std::string real_cgroup2() {
  constexpr long kCgroup2 = 0x63677270;
  struct statfs fs;
  for (const char* mount : {"/sys/fs/cgroup/unified", "/sys/fs/cgroup"})
    if (::statfs(mount, &fs) == 0 && fs.f_type == kCgroup2 && ::geteuid() == 0) return mount;
  std::fprintf(stderr, "no cgroup2 here: freezing, killing and the device filter are not tested\n");
  return "";
}

// Freezing by cgroup.freeze, killing by cgroup.kill, also what is in a cgroup below.
void life_in_v2() {
  std::string mount = real_cgroup2();
  if (mount.empty()) return;
  std::string path = mount + "/davit-life-test-" + std::to_string(::getpid());
  CHECK(::mkdir(path.c_str(), 0755) == 0 && ::mkdir((path + "/below").c_str(), 0755) == 0);
  Cgroup cgroup = Cgroup::reopen({"=" + path});
  CHECK(cgroup.unified());
  char counter[] = "/tmp/davit-counter.XXXXXX";
  Fd file(::mkstemp(counter));
  pid_t children[2];
  for (int i = 0; i < 2; i++) {
    children[i] = ::fork();
    if (children[i] != 0) continue;
    std::string procs = path + (i == 0 ? "" : "/below") + "/cgroup.procs";
    Fd joined(::open(procs.c_str(), O_WRONLY | O_CLOEXEC));
    if (::write(joined.get(), "0", 1) != 1) ::_exit(1);
    for (;; ::usleep(1000))
      if (::write(file.get(), ".", 1) != 1) ::_exit(1);
  }
  auto written = [&] { return ::lseek(file.get(), 0, SEEK_END); };
  auto grows = [&] {
    off_t before = written();
    ::usleep(100'000);
    return written() > before;
  };
  for (int i = 0; i < 100 && cgroup.pids().value_or(std::vector<pid_t>{}).size() < 2; i++)
    ::usleep(10'000);
  CHECK(cgroup.pids()->size() == 2 && grows());
  CHECK(cgroup.freeze(true).has_value() && cgroup.frozen().value_or(false) && !grows());
  CHECK(cgroup.freeze(false).has_value() && !cgroup.frozen().value_or(true) && grows());
  // A frozen one is killed all the same.
  CHECK(cgroup.freeze(true).has_value() && cgroup.kill(SIGKILL).has_value());
  for (pid_t child : children) {
    int status = 0;
    CHECK(::waitpid(child, &status, 0) == child && WIFSIGNALED(status) &&
          WTERMSIG(status) == SIGKILL);
  }
  CHECK(cgroup.stats().has_value());
  CHECK(cgroup.remove().has_value() && ::access(path.c_str(), F_OK) != 0);
  ::unlink(counter);
}

// What v1 had and v2 has not is refused, not read over.
void inexpressible_in_v2() {
  Fd dir(::open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC));
  for (const char* resources :
       {R"({"memory": {"swappiness": 10}})", R"({"memory": {"disableOOMKiller": true}})",
        R"({"memory": {"kernelTCP": 100}})", R"({"cpu": {"realtimeRuntime": 100}})",
        R"({"blockIO": {"leafWeight": 100}})", R"({"network": {"classID": 1}})",
        R"({"network": {"priorities": [{"name": "lo", "priority": 1}]}})"}) {
    auto parsed = parse_resources(resources);
    CHECK(parsed.has_value());
    if (!parsed) continue;
    auto applied = apply_limits_v2(dir.get(), *parsed);
    CHECK_CONTAINS(applied ? "" : applied.error().text(), "cgroup v2 has nothing like it");
    CHECK(controllers_needed(*parsed).size() == 1);
  }
  // Asking for nothing is no question of the version.
  auto nothing = parse_resources(R"({"memory": {"kernelTCP": 0}, "network": {"classID": 0}})");
  CHECK(nothing && apply_limits_v2(dir.get(), *nothing) && controllers_needed(*nothing).empty());
}

void device_filter_of_v2() {
  std::string mount = real_cgroup2();
  if (mount.empty()) return;
  std::string path = mount + "/davit-bpf-test-" + std::to_string(::getpid());
  CHECK(::mkdir(path.c_str(), 0755) == 0);
  Fd dir(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  auto attach = [&](DevicePolicy policy) {
    auto attached = apply_devices_v2(dir.get(), policy);
    CHECK_EQUAL(attached ? "" : attached.error().text(), "");
  };
  CHECK_EQUAL(opens(path), "yyyy");
  attach({false, {rule(true, 'c', 1, 3, "rwm"), rule(true, 'c', 1, 5, "r")}});
  CHECK_EQUAL(opens(path), "yynn");
  // Replaced, not added to.
  attach({true, {rule(false, 'c', 1, 3, "rwm"), rule(false, 'c', {}, 5, "w")}});
  CHECK_EQUAL(opens(path), "nyyn");
  attach({true, {}});
  CHECK_EQUAL(opens(path), "yyyy");
  CHECK(::rmdir(path.c_str()) == 0);
}

}  // namespace

int main() {
  paths();
  hierarchies();
  limits_of_v2();
  orders_of_v2();
  statistics_of_v2();
  device_policies();
  life_in_v2();
  inexpressible_in_v2();
  device_filter_of_v2();
  return testing::result();
}
