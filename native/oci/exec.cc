#include "native/oci/exec.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "native/kernel/file.h"
#include "native/kernel/proc.h"
#include "native/kernel/sealed_self.h"
#include "native/oci/channel.h"
#include "native/oci/identity.h"
#include "native/oci/launch.h"
#include "native/oci/process_limits.h"
#include "native/oci/program.h"
#include "native/oci/terminal.h"

namespace davit::oci {
namespace {

Result<> live(ExecPlan& plan, const std::vector<Fd>& task_files, int socket) {
  Warnings warnings;
  ::prctl(PR_SET_DUMPABLE, 0);
  kernel::let_go_of_seal();
  for (const Fd& tasks : task_files)
    if (::write(tasks.get(), "0", 1) != 1) return fail_errno("join the cgroup");
  if (::setsid() < 0) return fail_errno("new session");
  if (!plan.process.terminal) DAVIT_TRY(use_stdio(plan.stdio));
  DAVIT_ASSIGN(Fd proc, kernel::open_proc());
  DAVIT_TRY(prepare_process(plan.process, 0, proc.get(), warnings));
  const BitSet& cpus = plan.process.scheduling.exec_affinity.final;
  if (!cpus.empty()) DAVIT_TRY(set_affinity(cpus));
  if (plan.namespaces != 0) DAVIT_TRY(kernel::join_namespaces(plan.init_pidfd, plan.namespaces));
  if (plan.root >= 0 && (::fchdir(plan.root) != 0 || ::chroot(".") != 0))
    return fail_errno("enter the container's root");
  if ((plan.namespaces & CLONE_NEWUSER) != 0) DAVIT_TRY(become_namespace_root());
  if (!plan.no_new_keyring) DAVIT_TRY(make_session_keyring(plan.id));
  if (plan.process.terminal) {
    DAVIT_ASSIGN(Fd root, kernel::open_at(AT_FDCWD, "/", O_PATH | O_DIRECTORY));
    DAVIT_ASSIGN(Terminal terminal, open_terminal(root.get(), plan.process));
    const int master = terminal.master.get();
    DAVIT_TRY(kernel::send_message(socket, kConsole, {}, {&master, 1}));
    DAVIT_TRY(use_terminal(terminal.slave.get()));
  }
  if (plan.personality) DAVIT_TRY(set_personality(*plan.personality));
  if (plan.memory_policy) DAVIT_TRY(set_memory_policy(*plan.memory_policy));
  DAVIT_TRY(set_exec_labels(plan.process, proc.get()));
  proc.reset();
  kernel::close_all_from(3 + static_cast<unsigned>(plan.preserve_fds), {socket});
  DAVIT_ASSIGN(std::string path, become_user(plan.process, plan.seccomp, socket, warnings));
  for (const std::string& warning : warnings)
    DAVIT_TRY(kernel::send_message(socket, kWarning, warning));
  DAVIT_TRY(kernel::send_message(socket, kReady));
  return run_program(plan.process, path, plan.process.no_new_privileges ? plan.seccomp : nullptr,
                     socket);
}

// Runs `action` on the processors `cpus`, which a process that is cloned by it inherits: it may be
// born in its cgroup, and the initial affinity is that of before.
template <typename Action>
auto on_cpus(const BitSet& cpus, const Action& action) -> decltype(action()) {
  if (cpus.empty()) return action();
  DAVIT_ASSIGN(BitSet before, affinity());
  DAVIT_TRY(set_affinity(cpus));
  auto result = action();
  if (!result || result->pid != 0) (void)set_affinity(before);
  return result;
}

}  // namespace

Result<Process> start_exec(ExecPlan plan, Cgroup::Entrance entrance) {
  DAVIT_ASSIGN(auto ends, kernel::message_pair());
  auto& [own, theirs] = ends;
  DAVIT_ASSIGN(kernel::Child child, on_cpus(plan.process.scheduling.exec_affinity.initial, [&] {
                 return clone_into(plan.joins_pid ? plan.init_pidfd : -1, CLONE_NEWPID, 0,
                                   entrance.clone_target.get());
               }));
  if (child.pid == 0) {
    own.reset();
    auto failed = live(plan, entrance.task_files, theirs.get());
    give_up(theirs.get(), failed.error());
  }
  theirs.reset();
  kernel::let_go_of_seal();
  Starting starting(std::move(child), std::move(own));
  if (plan.rdt != nullptr) DAVIT_TRY(join_rdt(*plan.rdt, starting.pid()));
  Spec none;  // tells serve that an end now is a death
  DAVIT_TRY(starting.serve({&none, plan.hook_state, plan.seccomp, "running"}, plan.timeout_ms));
  DAVIT_TRY(starting.serve({nullptr, plan.hook_state, plan.seccomp, "running"}, plan.timeout_ms));
  kernel::Child running = starting.release();
  return Process{running.pid, std::move(running.pidfd), std::move(starting.console),
                 std::move(starting.warnings)};
}

}  // namespace davit::oci
