// Containers from create to destroy, and what is left when something fails between.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "native/kernel/file.h"
#include "native/kernel/process.h"
#include "native/oci/cgroup/cgroup.h"
#include "native/oci/spec.h"
#include "native/oci/testing/bundle.h"
#include "native/oci/testing/check.h"

namespace {

using namespace davit;
using testing::Bundle;
using testing::Running;

void exit_status_is_the_programs() {
  Bundle bundle;
  bundle.script("echo out; echo err >&2; exit 7");
  auto outcome = testing::run(bundle);
  CHECK_EQUAL(outcome.error, "");
  CHECK(outcome.code == 7);
  CHECK_EQUAL(outcome.output, "out\nerr\n");
}

void nothing_runs_before_start() {
  Bundle bundle;
  bundle.script("touch /started; sleep 1000");
  auto container = oci::Container::create(bundle.options());
  CHECK(container.has_value());
  if (!container) return;
  ::usleep(50'000);
  CHECK(::access((bundle.rootfs() + "/started").c_str(), F_OK) != 0);
  CHECK(::access((bundle.path() + "/state.json").c_str(), F_OK) == 0);
  auto pids = (*container)->pids();
  CHECK(pids && pids->size() == 1 && pids->front() == (*container)->pid());
  // Given up before its start: init ends with its creator's object.
  pid_t pid = (*container)->pid();
  CHECK((*container)->destroy().has_value());
  CHECK(kernel::reap(pid).has_value());
  CHECK(::access((bundle.rootfs() + "/started").c_str(), F_OK) != 0);
  CHECK(::access((bundle.path() + "/state.json").c_str(), F_OK) != 0);
}

void a_missing_program_fails_create() {
  Bundle bundle;
  bundle.set("/process/args", R"(["nonesuch"])");
  CHECK_EQUAL(testing::run(bundle).error, "exec: \"nonesuch\": executable file not found in $PATH");
  bundle.set("/process/args", R"(["/nonesuch"])");
  CHECK_EQUAL(testing::run(bundle).error,
              "exec: \"/nonesuch\": stat /nonesuch: no such file or directory");
  bundle.set("/process/args", R"(["/etc/passwd"])");
  CHECK_EQUAL(testing::run(bundle).error, "exec: \"/etc/passwd\": permission denied");
  bundle.set("/process/args", R"(["/etc"])");
  CHECK_EQUAL(testing::run(bundle).error, "exec: \"/etc\": is a directory: permission denied");
  CHECK(::access((bundle.path() + "/state.json").c_str(), F_OK) != 0);
}

void what_cannot_be_executed_fails_start() {
  Bundle bundle;
  bundle.prepare("printf garbage > $R/bin/garbage; chmod 755 $R/bin/garbage");
  bundle.set("/process/args", R"(["garbage"])");
  CHECK_EQUAL(testing::run(bundle).error, "exec \"/bin/garbage\": exec format error");
}

void a_bad_config_names_the_member() {
  Bundle bundle;
  bundle.set("/process/args", "17");
  CHECK_CONTAINS(testing::run(bundle).error, "process.args: must be a list");
  bundle.set("/process/args", R"(["true\u0000"])");
  CHECK_CONTAINS(testing::run(bundle).error, "process.args[0]: must be without NUL");
  bundle.set("/process/args", R"(["true"])").set("/process/user/uid", "4294967296");
  CHECK_CONTAINS(testing::run(bundle).error, "process.user.uid: must be an integer from 0");
  bundle.set("/process/user/uid", "0").set("/root/path", R"("absent")");
  CHECK_CONTAINS(testing::run(bundle).error, "rootfs: open \"" + bundle.path() + "/absent\"");
}

void kill_reaches_init() {
  Bundle bundle;
  bundle.script("trap 'exit 3' TERM; sleep 1000 & wait");
  Running running(bundle);
  CHECK_EQUAL(running.error(), "");
  if (!running.ok()) return;
  ::usleep(100'000);
  CHECK(running->kill(SIGTERM).has_value());
  int status = running.wait();
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 3);
  CHECK(!running->kill(SIGTERM) && running->kill(SIGTERM).error().code == ESRCH);
}

void kill_all_reaches_everything_in_a_shared_pid_namespace() {
  Bundle bundle;
  bundle.set("/linux/namespaces", R"([{"type": "mount"}, {"type": "ipc"}, {"type": "uts"}])");
  bundle.script("sleep 1000 & sleep 1000 & sleep 1000");
  Running running(bundle);
  CHECK_EQUAL(running.error(), "");
  if (!running.ok()) return;
  for (int tries = 0; tries < 100 && running->pids()->size() < 3; ++tries) ::usleep(10'000);
  CHECK(running->pids()->size() >= 3);
  CHECK(running->kill_all(SIGKILL).has_value());
  CHECK(WIFSIGNALED(running.wait()));
  for (int tries = 0; tries < 1000 && !running->pids()->empty(); ++tries) ::usleep(10'000);
  CHECK(running->pids()->empty());
}

void another_process_finds_it_by_its_state() {
  Bundle bundle;
  bundle.script("sleep 1000");
  Running running(bundle);
  CHECK_EQUAL(running.error(), "");
  if (!running.ok()) return;
  auto loaded = oci::Container::load(bundle.path());
  CHECK(loaded && (*loaded)->pid() == running->pid() && (*loaded)->pidfd() >= 0);
  if (!loaded) return;
  auto process = (*loaded)->exec(bundle.process("exit 5"), {});
  CHECK(process.has_value());
  if (process) {
    int status = kernel::reap(process->pid).value_or(-1);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 5);
  }
}

void another_process_starts_it() {
  Bundle bundle;
  bundle.script("exit 9");
  pid_t pid = -1;
  {
    auto options = bundle.options();
    options.startable_by_others = true;
    auto container = oci::Container::create(options);
    CHECK(container.has_value());
    if (!container) return;
    pid = (*container)->pid();
  }
  auto loaded = oci::Container::load(bundle.path());
  CHECK(loaded.has_value());
  if (!loaded) return;
  auto started = (*loaded)->start();
  CHECK_EQUAL(started ? "" : started.error().text(), "");
  int status = kernel::reap(pid).value_or(-1);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 9);
  CHECK((*loaded)->destroy().has_value());
  CHECK(::access((bundle.path() + "/start.sock").c_str(), F_OK) != 0);
}

void a_crashed_creator_is_cleaned_up_after() {
  for (bool start : {false, true}) {
    Bundle bundle;
    bundle.script("sleep 1000 & sleep 1000");
    // Orphans come to this process, as they would to init.
    CHECK(::prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
    pid_t creator = ::fork();
    if (creator == 0) {
      auto container = oci::Container::create(bundle.options());
      if (container && start) (void)(*container)->start();
      ::_exit(container ? 0 : 1);  // no destructor runs
    }
    int status = kernel::reap(creator).value_or(-1);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    auto cleaned = oci::destroy_left_behind(bundle.path());
    CHECK_EQUAL(cleaned ? "" : cleaned.error().text(), "");
    while (::waitpid(-1, nullptr, 0) > 0) {
    }
    CHECK(::access((bundle.path() + "/state.json").c_str(), F_OK) != 0);
    CHECK(oci::destroy_left_behind(bundle.path()).has_value());
    // A creator that died before it wrote its state has made a cgroup at most.
    auto spec = oci::parse_spec(
        kernel::read_file(AT_FDCWD, (bundle.path() + "/config.json").c_str()).value());
    auto cgroup = oci::Cgroup::begin(spec->cgroups_path, "x");
    CHECK(cgroup && cgroup->complete(spec->resources));
    CHECK(cgroup.has_value() && !cgroup->paths().empty());
    CHECK(oci::destroy_left_behind(bundle.path()).has_value());
    CHECK(oci::Cgroup::find(spec->cgroups_path, "x")->paths().empty());
    ::prctl(PR_SET_CHILD_SUBREAPER, 0);
  }
}

void hooks_run_in_order_with_the_state() {
  Bundle bundle;
  bundle.prepare(
      "printf '#!/bin/sh\\n(printf \"%%s \" $2; cat; echo) >> $1\\n' > $B/hook; "
      "chmod 755 $B/hook");
  std::string log = bundle.path() + "/log";
  auto hook = [&](const char* kind, const std::string& path, const std::string& file) {
    bundle.set((std::string("/hooks/") + kind).c_str(),
               "[{\"path\":\"" + path + "\",\"args\":[\"hook\",\"" + file + "\",\"" + kind +
                   "\"],\"env\":[\"PATH=/bin:/usr/bin\"],\"timeout\":10}]");
  };
  for (const char* kind : {"poststop", "poststart", "createContainer", "createRuntime", "prestart"})
    hook(kind, bundle.path() + "/hook", log);
  bundle.prepare("cp $B/hook $R/bin/hook");
  hook("startContainer", "/bin/hook", "/log");
  bundle.set("/annotations", R"({"a\"b": "c", "long": ")" + std::string(20000, 'x') + "\"}");
  CHECK(testing::run(bundle).code == 0);
  std::string text = testing::shell("cut -d' ' -f1 " + log);
  CHECK_EQUAL(text, "prestart\ncreateRuntime\ncreateContainer\npoststart\npoststop\n");
  text = testing::shell("grep prestart " + log);
  CHECK_CONTAINS(text, "\"status\":\"created\"");
  CHECK_CONTAINS(testing::shell("grep createRuntime " + log), "\"status\":\"creating\"");
  CHECK_CONTAINS(text, "\"id\":\"" + bundle.id() + "\"");
  CHECK_CONTAINS(text, R"("annotations":{"a\"b":"c","long":"xxx)");
  CHECK_CONTAINS(testing::shell("grep poststop " + log), "\"status\":\"stopped\"");
  text = testing::shell("cat " + bundle.rootfs() + "/log");
  CHECK_CONTAINS(text, "xxx\"}}\n");
  CHECK_CONTAINS(text, "startContainer {\"ociVersion\":\"1.1.0\"");
}

void a_failing_hook_fails_create() {
  Bundle bundle;
  bundle.prepare("printf '#!/bin/sh\\necho no luck >&2; exit 3\\n' > $B/hook; chmod 755 $B/hook");
  bundle.set("/hooks/createRuntime", "[{\"path\":\"" + bundle.path() + "/hook\"}]");
  CHECK_EQUAL(testing::run(bundle).error,
              "createRuntime hook \"" + bundle.path() + "/hook\": exit status 3: no luck");
}

// What the process that a hook has noted in `file` is by now: a letter of ps, or nothing.
std::string state_of(const std::string& file) {
  return testing::shell("ps -o s= -p $(cat " + file + ")");
}

void a_hook_out_of_time_takes_its_children_along() {
  Bundle bundle;
  bundle.prepare(
      "printf '#!/bin/sh\\nsleep 1000 & echo $! >%s; wait\\n' $B/child > $B/hook; chmod 755 "
      "$B/hook");
  bundle.set("/hooks/createRuntime", "[{\"path\":\"" + bundle.path() + "/hook\",\"timeout\":1}]");
  CHECK_CONTAINS(testing::run(bundle).error, "ended by force: connection timed out");
  std::string state;
  for (int tries = 0; tries < 100; ++tries) {
    state = state_of(bundle.path() + "/child");
    if (state.empty() || state == "Z\n") break;
    ::usleep(50'000);
  }
  CHECK(state.empty() || state == "Z\n");
}

void a_hook_may_leave_a_daemon() {
  Bundle bundle;
  bundle.prepare(
      "printf '#!/bin/sh\\nsleep 1000 & echo $! >%s\\n' $B/child > $B/hook; chmod 755 $B/hook");
  bundle.set("/hooks/createRuntime", "[{\"path\":\"" + bundle.path() + "/hook\",\"timeout\":9}]");
  CHECK_EQUAL(testing::run(bundle).error, "");
  CHECK_EQUAL(state_of(bundle.path() + "/child"), "S\n");
  testing::shell("kill -9 $(cat " + bundle.path() + "/child)");
}

void the_pidfd_tells_of_the_end() {
  Bundle bundle;
  bundle.script("exit 0");
  Running running(bundle);
  CHECK_EQUAL(running.error(), "");
  if (!running.ok()) return;
  pollfd item{running->pidfd(), POLLIN, 0};
  CHECK(::poll(&item, 1, 5000) == 1);
}

}  // namespace

int main() {
  if (!testing::can_run_containers()) return testing::kSkipped;
  exit_status_is_the_programs();
  nothing_runs_before_start();
  a_missing_program_fails_create();
  what_cannot_be_executed_fails_start();
  a_bad_config_names_the_member();
  kill_reaches_init();
  kill_all_reaches_everything_in_a_shared_pid_namespace();
  another_process_finds_it_by_its_state();
  another_process_starts_it();
  a_crashed_creator_is_cleaned_up_after();
  hooks_run_in_order_with_the_state();
  a_failing_hook_fails_create();
  a_hook_out_of_time_takes_its_children_along();
  a_hook_may_leave_a_daemon();
  the_pidfd_tells_of_the_end();
  testing::check_leftovers();
  return testing::result();
}
