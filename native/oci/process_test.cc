// Who a process is in its container, by create and by exec.
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdlib>

#include "native/kernel/process.h"
#include "native/oci/testing/bundle.h"
#include "native/oci/testing/check.h"

namespace {

using namespace davit;
using testing::Bundle;
using testing::Outcome;
using testing::Running;

// Whether this program has CAP_SYS_RESOURCE.
bool may_raise_limits() {
  std::string text = testing::shell("sed -n 's/^CapEff:.//p' /proc/self/status");
  return (std::strtoull(text.c_str(), nullptr, 16) >> 24 & 1) != 0;
}

// The same script as init and as an exec: what a process is must not depend on how it came.
struct Both {
  Outcome init, exec;
};
Both both(Bundle& bundle, const std::string& script) {
  bundle.script(script);
  Both outcome{testing::run(bundle), {}};
  std::string process = bundle.process(script);
  bundle.script("sleep 1000");
  Running running(bundle);
  CHECK_EQUAL(running.error(), "");
  if (running.ok()) outcome.exec = running.exec(process);
  return outcome;
}

void check_both(Bundle& bundle, const std::string& script, const std::string& want) {
  Both outcome = both(bundle, script);
  CHECK_EQUAL(outcome.init.error + outcome.init.output, want);
  CHECK_EQUAL(outcome.exec.error + outcome.exec.output, want);
}

void user_and_groups() {
  Bundle bundle;
  bundle.set("/process/user", R"({"uid": 1000, "gid": 7, "additionalGids": [10, 7], "umask": 63})");
  check_both(bundle, "id; umask; echo $HOME; pwd; grep Groups /proc/self/status | tr '\\t' ' '",
             "uid=1000(user) gid=7 groups=7,10\n0077\n/home/user\n/\nGroups: 7 10 \n");
  // Its streams are its own to open again.
  check_both(bundle, "echo again > /dev/stdout", "again\n");
}

void capabilities() {
  Bundle bundle;
  std::string script = "grep -e ^Cap -e NoNewPrivs /proc/self/status | tr '\\t' ' '";
  check_both(bundle, script,
             "CapInh: 0000000000000000\nCapPrm: 00000000080000e1\nCapEff: 00000000080000e1\n"
             "CapBnd: 00000000080000e1\nCapAmb: 0000000000000000\nNoNewPrivs: 1\n");
  bundle.set("/process/user/uid", "1000");
  check_both(bundle, script,
             "CapInh: 0000000000000000\nCapPrm: 0000000000000000\nCapEff: 0000000000000000\n"
             "CapBnd: 00000000080000e1\nCapAmb: 0000000000000000\nNoNewPrivs: 1\n");
  bundle.set("/process/capabilities/inheritable", R"(["CAP_KILL"])");
  bundle.set("/process/capabilities/ambient", R"(["CAP_KILL"])");
  check_both(bundle, "grep -e CapAmb -e CapEff /proc/self/status | tr '\\t' ' '",
             "CapEff: 0000000000000020\nCapAmb: 0000000000000020\n");
  bundle.remove("/process/capabilities").set("/process/user/uid", "0");
  check_both(bundle, "grep -e CapBnd -e CapEff /proc/self/status | tr '\\t' ' '",
             "CapEff: 0000000000000000\nCapBnd: 0000000000000000\n");
}

void a_capability_that_is_not_ours_is_a_warning() {
  Bundle bundle;
  for (const char* set : {"bounding", "effective", "permitted"})
    bundle.set((std::string("/process/capabilities/") + set + "/-").c_str(),
               "\"CAP_SYS_RESOURCE\"");
  bundle.script("grep CapEff /proc/self/status | tr '\\t' ' '");
  bool ours = may_raise_limits();
  Outcome outcome = testing::run(bundle);
  CHECK_EQUAL(outcome.error, "");
  CHECK_EQUAL(outcome.output, ours ? "CapEff: 00000000090000e1\n" : "CapEff: 00000000080000e1\n");
  CHECK(outcome.warnings.empty() == ours);
}

void limits() {
  Bundle bundle;
  bundle.set("/process/rlimits", R"([
      {"type": "RLIMIT_NOFILE", "soft": 17, "hard": 33},
      {"type": "RLIMIT_CORE", "soft": 0, "hard": 0}])");
  check_both(bundle, "ulimit -n; ulimit -Hn; ulimit -c", "17\n33\n0\n");
  // Fewer than this program itself needs while it sets up.
  bundle.set("/process/rlimits/0/soft", "3").set("/process/rlimits/0/hard", "3");
  bundle.set("/process/args", R"(["true"])");
  CHECK(testing::run(bundle).code == 0);
}

void a_limit_that_cannot_be_raised_is_a_warning() {
  rlimit before;
  CHECK(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  bool may_raise = may_raise_limits();
  Bundle bundle;
  std::string more = std::to_string(before.rlim_max + 1);
  bundle.set("/process/rlimits",
             R"([{"type": "RLIMIT_NOFILE", "soft": 100, "hard": )" + more + "}]");
  bundle.set("/process/oomScoreAdj", "-500");
  bundle.script("ulimit -n; ulimit -Hn; cat /proc/self/oom_score_adj");
  Outcome outcome = testing::run(bundle);
  CHECK_EQUAL(outcome.error, "");
  if (may_raise) {
    CHECK_EQUAL(outcome.output, "100\n" + more + "\n-500\n");
    return;
  }
  CHECK_EQUAL(outcome.output, "100\n" + std::to_string(before.rlim_max) + "\n0\n");
  CHECK(outcome.warnings.size() == 2);
  if (outcome.warnings.size() != 2) return;
  CHECK_CONTAINS(outcome.warnings[0], "RLIMIT_NOFILE stays at");
  CHECK_CONTAINS(outcome.warnings[1], "oomScoreAdj -500 was not set: ");
}

void oom_score_can_be_raised() {
  Bundle bundle;
  bundle.set("/process/oomScoreAdj", "321");
  check_both(bundle, "cat /proc/self/oom_score_adj", "321\n");
}

void seccomp() {
  for (const char* no_new_privileges : {"true", "false"}) {
    Bundle bundle;
    bundle.set("/process/noNewPrivileges", no_new_privileges);
    bundle.set("/linux/seccomp", R"({
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
        "syscalls": [
          {"names": ["mkdir", "mkdirat", "no_such_call"], "action": "SCMP_ACT_ERRNO",
           "errnoRet": 95},
          {"names": ["kill"], "action": "SCMP_ACT_ERRNO",
           "args": [{"index": 1, "value": 12, "op": "SCMP_CMP_EQ"}]}]})");
    Both outcome = both(bundle,
                        "mkdir /x; kill -12 $$ || echo refused; kill -0 $$ && echo ok;"
                        "grep Seccomp: /proc/self/status | tr '\\t' ' '");
    for (const Outcome& one : {outcome.init, outcome.exec}) {
      CHECK_EQUAL(one.error, "");
      CHECK_CONTAINS(one.output, "mkdir: can't create directory '/x': Operation not supported");
      CHECK_CONTAINS(one.output, "refused\nok\nSeccomp: 2\n");
    }
  }
}

void names_and_settings() {
  Bundle bundle;
  bundle.set("/domainname", "\"test.domain\"");
  bundle.set("/linux/sysctl", R"({"net.ipv4.ip_forward": "1", "kernel.shmmax": "12345",
                                  "net/ipv4/conf/lo/rp_filter": "2"})");
  check_both(bundle,
             "hostname; cd /proc/sys; cat kernel/domainname net/ipv4/ip_forward "
             "kernel/shmmax net/ipv4/conf/lo/rp_filter; ip link show lo | grep -c ,UP",
             "testhost\ntest.domain\n1\n12345\n2\n1\n");
  CHECK(testing::shell("cat /proc/sys/kernel/shmmax") != "12345\n");
}

void settings_of_the_machine_are_refused() {
  for (const char* name : {"kernel.core_pattern", "vm.swappiness", "net/../kernel/core_pattern",
                           "kernel.hostname", "/proc/sys/net/ipv4/ip_forward"}) {
    Bundle bundle;
    bundle.set("/linux/sysctl", std::string("{\"") + name + "\": \"1\"}");
    CHECK_CONTAINS(testing::run(bundle).error, std::string("linux.sysctl: \"") + name + '"');
  }
  Bundle bundle;
  bundle.set("/linux/sysctl", R"({"net.ipv4.ip_forward": "1"})");
  bundle.set("/linux/namespaces", R"([{"type": "mount"}, {"type": "uts"}, {"type": "pid"}])");
  CHECK_CONTAINS(testing::run(bundle).error, "needs a namespace of its own");
  // CVE-2022-0811: what looks like two settings is one value, and a wrong one.
  bundle.set("/linux/sysctl", R"({"kernel.shm_rmid_forced": "1+kernel.core_pattern=|/x"})");
  bundle.set("/linux/namespaces/-", R"({"type": "ipc"})");
  CHECK_CONTAINS(testing::run(bundle).error, "sysctl \"kernel.shm_rmid_forced\": write");
  CHECK(!testing::contains(testing::shell("cat /proc/sys/kernel/core_pattern"), "|/x"));
}

void a_terminal() {
  Bundle bundle;
  bundle.set("/process/terminal", "true");
  bundle.set("/process/consoleSize", R"({"height": 33, "width": 99})");
  std::string script =
      "tty; stty size; test -t 0 && test -t 2 && echo yes; "
      "echo to console > /dev/console; stat -c %u $(tty)";
  bundle.set("/process/user/uid", "1000").script(script);
  auto container = oci::Container::create(bundle.options());
  CHECK_EQUAL(container ? "" : container.error().text(), "");
  if (!container) return;
  Fd console = (*container)->take_console();
  CHECK(console && (*container)->start());
  std::string text;
  char buffer[512];
  // EIO: the last slave is closed.
  for (ssize_t n; (n = ::read(console.get(), buffer, sizeof buffer)) > 0;)
    text.append(buffer, static_cast<std::size_t>(n));
  CHECK_EQUAL(text, "/dev/pts/0\r\n33 99\r\nyes\r\nto console\r\n1000\r\n");
  CHECK(kernel::reap((*container)->pid()).has_value());
  CHECK((*container)->destroy().has_value());

  std::string process = bundle.process("tty; stty size; test -t 1 && echo yes");
  bundle.set("/process/terminal", "false").remove("/process/consoleSize").script("sleep 1000");
  Running running(bundle);
  CHECK_EQUAL(running.error(), "");
  if (!running.ok()) return;
  auto exec = running->exec(process, {});
  CHECK_EQUAL(exec ? "" : exec.error().text(), "");
  if (!exec) return;
  text.clear();
  for (ssize_t n; (n = ::read(exec->console.get(), buffer, sizeof buffer)) > 0;)
    text.append(buffer, static_cast<std::size_t>(n));
  CHECK_EQUAL(text, "/dev/pts/0\r\n33 99\r\nyes\r\n");
  CHECK(kernel::reap(exec->pid).has_value());
}

void exec_fails_in_words() {
  Bundle bundle;
  bundle.script("sleep 1000");
  Running running(bundle);
  CHECK_EQUAL(running.error(), "");
  if (!running.ok()) return;
  auto fails = [&](const char* process) { return running.exec(process).error; };
  CHECK_EQUAL(fails(R"({"args": ["nonesuch"], "cwd": "/", "env": ["PATH=/bin"]})"),
              "exec: \"nonesuch\": executable file not found in $PATH");
  CHECK_EQUAL(fails(R"({"args": ["/x"], "cwd": "/"})"),
              "exec: \"/x\": stat /x: no such file or directory");
  CHECK_EQUAL(fails(R"({"args": ["/bin/true"], "cwd": "/absent"})"),
              "chdir to cwd \"/absent\": no such file or directory");
  CHECK_CONTAINS(fails(R"({"args": ["/bin/true"], "cwd": "relative"})"), "process.cwd");
  CHECK_CONTAINS(fails("{"), "malformed JSON");
  for (int fd = 3; fd < 40; ++fd) {
    std::string cwd = "/proc/self/fd/" + std::to_string(fd);
    Outcome outcome = running.exec(R"({"args": ["/bin/ls"], "cwd": ")" + cwd + "\"}");
    CHECK_CONTAINS(outcome.error, "chdir to cwd");
  }
}

// A descriptor of the host's that the container is to have does not become its directory
// (CVE-2024-21626).
void no_cwd_outside() {
  Bundle bundle;
  bundle.set("/process/cwd", "\"/proc/self/fd/3\"");
  Fd before(::fcntl(3, F_DUPFD_CLOEXEC, 10)), host(::open("/tmp", O_RDONLY | O_DIRECTORY));
  CHECK(host.get() == 3 || ::dup2(host.get(), 3) == 3);
  oci::CreateOptions options = bundle.options();
  options.preserve_fds = 1;
  auto container = oci::Container::create(options);
  CHECK_CONTAINS(container ? "" : container.error().text(), "is outside the container");
  if (container) {
    CHECK((*container)->kill(SIGKILL).has_value() && kernel::reap((*container)->pid()).has_value());
    CHECK((*container)->destroy().has_value());
  }
  if (before) CHECK(::dup3(before.get(), 3, O_CLOEXEC) == 3);
}

void exec_stays_below() {
  Bundle bundle;
  bundle.script("sleep 1000");
  Running running(bundle);
  CHECK_EQUAL(running.error(), "");
  if (!running.ok()) return;
  for (const char* outside : {"..", "../x", "a/../../b", "memory:../x", "/.."}) {
    oci::ExecOptions options;
    options.cgroups = {outside};
    auto exec = running->exec(bundle.process("true"), {}, options);
    CHECK_CONTAINS(exec ? "" : exec.error().text(), "is not below the container's");
  }
}

void exec_is_where_init_is() {
  Bundle bundle;
  bundle.set("/linux/namespaces/-", R"({"type": "cgroup"})").script("sleep 1000");
  Running running(bundle);
  CHECK_EQUAL(running.error(), "");
  if (!running.ok()) return;
  std::string script =
      "for n in pid net ipc uts mnt cgroup user time; do "
      "[ $(readlink /proc/1/ns/$n) = $(readlink /proc/self/ns/$n) ] && echo -n $n,;"
      "done; ls /proc/self/fd | tr '\\n' ' '; [ \"$(cat /proc/self/cgroup)\" = "
      "\"$(cat /proc/1/cgroup)\" ] && echo same cgroups";
  // /proc/1/ns needs the same capabilities that init has, which it has.
  CHECK_EQUAL(running.exec(bundle.process(script)).output,
              "pid,net,ipc,uts,mnt,cgroup,user,time,0 1 2 3 same cgroups\n");
  auto exec = running->exec(bundle.process("sleep 1000"), {});
  CHECK(exec.has_value());
  if (!exec) return;
  auto pids = running->pids();
  CHECK(pids && pids->size() == 2);
  // Only what init has, too, may be seen of it (CVE-2016-9962): our child, our pid namespace.
  CHECK(exec->pid > 0 && exec->pidfd);
  CHECK(kernel::signal_pidfd(exec->pidfd.get(), SIGKILL).has_value());
  CHECK(kernel::reap(exec->pid).has_value());
}

}  // namespace

int main() {
  if (!testing::can_run_containers()) return testing::kSkipped;
  user_and_groups();
  capabilities();
  a_capability_that_is_not_ours_is_a_warning();
  limits();
  a_limit_that_cannot_be_raised_is_a_warning();
  oom_score_can_be_raised();
  seccomp();
  names_and_settings();
  settings_of_the_machine_are_refused();
  a_terminal();
  exec_fails_in_words();
  no_cwd_outside();
  exec_stays_below();
  exec_is_where_init_is();
  testing::check_leftovers();
  return testing::result();
}
