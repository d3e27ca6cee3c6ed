#include "native/oci/launch.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "native/kernel/file.h"
#include "native/kernel/proc.h"
#include "native/kernel/wait.h"
#include "native/oci/channel.h"
#include "native/oci/process_limits.h"
#include "native/oci/seccomp_listener.h"

namespace davit::oci {
namespace {

std::uint64_t clone_flags(const Namespaces& namespaces) {
  return static_cast<std::uint64_t>(namespaces.fresh & ~namespaces.late);
}

// In the helper: joins what must be joined first, clones init as the creator's child, says its pid.
[[noreturn]] void help(InitPlan& plan, int clone_target) {
  ::prctl(PR_SET_DUMPABLE, 0);
  // What only the host's root may do, init inherits. A new user namespace's waits for its maps.
  if ((plan.namespaces.fresh & CLONE_NEWUSER) == 0) {
    auto proc = kernel::open_proc();
    if (!proc) give_up(plan.socket, proc.error());
    auto prepared = prepare_process(plan.spec.process, 0, proc->get(), plan.warnings);
    if (!prepared) give_up(plan.socket, prepared.error());
  }
  if (auto joined = join_all(plan.namespaces, 0); !joined) give_up(plan.socket, joined.error());
  plan.helped = true;
  // Holds init back until its pid, which the creator must have first, is said.
  int gate[2];
  if (::pipe2(gate, O_CLOEXEC) != 0) give_up(plan.socket, fail_errno("pipe").error());
  auto child = kernel::clone_process(clone_flags(plan.namespaces) | CLONE_PARENT, clone_target);
  if (!child) give_up(plan.socket, child.error());
  if (child->pid == 0) {
    char end;
    ::close(gate[1]);
    while (::read(gate[0], &end, 1) < 0 && errno == EINTR) {
    }
    ::close(gate[0]);
    run_init(plan);
  }
  (void)kernel::send_message(plan.socket, kInitPid, std::to_string(child->pid));
  ::_exit(0);
}

}  // namespace

Starting::Starting(kernel::Child child, Fd socket_end)
    : socket(std::move(socket_end)), child_(std::move(child)) {}

Starting::~Starting() {
  if (!child_.pidfd) return;
  (void)kernel::signal_pidfd(child_.pidfd.get(), SIGKILL);
  (void)kernel::reap(child_.pid);
}

kernel::Child Starting::release() {
  return std::move(child_);
}

Error Starting::death() {
  // Its end of the socket is closed, so it is ending; what it cannot do is take long.
  struct pollfd item = {child_.pidfd.get(), POLLIN, 0};
  (void)kernel::wait_for(&item, 1, 1000);
  (void)kernel::signal_pidfd(child_.pidfd.get(), SIGKILL);
  auto status = kernel::reap(child_.pid);
  child_.pidfd.reset();
  std::string how = "before its program began";
  if (status && WIFSIGNALED(*status)) {
    how += ", by signal " + std::to_string(WTERMSIG(*status));
    if (WTERMSIG(*status) == SIGKILL) how += " (out of memory? its limit may be too low)";
  }
  return {0, "the container's process ended " + how};
}

Result<> Starting::answer(kernel::Message message, const Answers& answers) {
  switch (message.kind) {
    case kMapIds: {
      DAVIT_ASSIGN(Fd proc, kernel::open_proc());
      DAVIT_TRY(prepare_process(answers.spec->process, child_.pid, proc.get(), warnings));
      DAVIT_TRY(write_id_maps(*answers.spec, child_.pid, proc.get()));
      return kernel::send_message(socket.get(), kGo);
    }
    case kRunHooks: {
      std::string state = answers.hook_state->json("creating", child_.pid);
      // The old kind was defined as coming after create, and is told so still.
      DAVIT_TRY(run_hooks(answers.spec->hooks.prestart, "prestart",
                          answers.hook_state->json("created", child_.pid)));
      DAVIT_TRY(run_hooks(answers.spec->hooks.create_runtime, "createRuntime", state));
      return kernel::send_message(socket.get(), kGo, state);
    }
    case kListener:
      if (answers.seccomp == nullptr) return fail(EPROTO, "a seccomp listener nobody asked for");
      DAVIT_TRY(hand_over_listener({child_.pidfd.get(), child_.pid}, message.text, *answers.seccomp,
                                   *answers.hook_state, answers.status));
      return kernel::send_message(socket.get(), kGo);
    case kConsole:
      if (message.descriptors.empty()) return fail(EPROTO, "a terminal without its descriptor");
      console = std::move(message.descriptors.front());
      return {};
    case kWarning:
      warnings.push_back(std::move(message.text));
      return {};
    case kFailed:
      return std::unexpected(failure_of(message.text));
    default:
      return fail(EPROTO, "the container's process sent something unknown");
  }
}

Result<bool> Starting::serve(const Answers& answers, int timeout_ms) {
  for (;;) {
    DAVIT_ASSIGN(kernel::Message message, kernel::receive_message(socket.get(), timeout_ms));
    if (message.kind == kReady) return true;
    if (message.kind == kEnded) {
      // After kReady the socket is closed by execve; before it, only by dying.
      if (answers.spec == nullptr) return false;
      return std::unexpected(death());
    }
    DAVIT_TRY(answer(std::move(message), answers));
  }
}

Result<kernel::Child> clone_into(int pid_namespace, int pid_namespace_flags, std::uint64_t flags,
                                 int cgroup) {
  if (pid_namespace < 0) return kernel::clone_process(flags, cgroup);
  DAVIT_ASSIGN(Fd own, kernel::open_at(AT_FDCWD, "/proc/self/ns/pid", O_RDONLY));
  DAVIT_TRY(kernel::join_namespaces(pid_namespace, pid_namespace_flags));
  bool dumpable = kernel::set_dumpable(false);
  auto child = kernel::clone_process(flags, cgroup);
  if (child && child->pid == 0) return child;
  kernel::set_dumpable(dumpable);
  auto back = kernel::join_namespaces(own.get(), CLONE_NEWPID);
  if (!back) {
    if (child) {
      (void)kernel::signal_pidfd(child->pidfd.get(), SIGKILL);
      (void)kernel::reap(child->pid);
    }
    return wrap("return to the own pid namespace", std::move(back).error());
  }
  return child;
}

Result<Starting> clone_init(InitPlan& plan, Fd socket, int clone_target, int timeout_ms) {
  if (!plan.namespaces.needs_helper) {
    DAVIT_ASSIGN(kernel::Child child, clone_into(plan.namespaces.fd_of(CLONE_NEWPID), CLONE_NEWPID,
                                                 clone_flags(plan.namespaces), clone_target));
    if (child.pid == 0) {
      socket.reset();  // the creator's end: who waits at the other would not see it go
      run_init(plan);
    }
    return Starting(std::move(child), std::move(socket));
  }
  // No `exec` of a foreign file happens in the helper, so it needs no limits of its own.
  DAVIT_ASSIGN(kernel::Child helper, kernel::clone_process(0));
  if (helper.pid == 0) {
    socket.reset();
    help(plan, clone_target);
  }
  auto message = kernel::receive_message(socket.get(), timeout_ms);
  pid_t pid = message && message->kind == kInitPid ? ::atoi(message->text.c_str()) : -1;
  if (pid < 0) (void)kernel::signal_pidfd(helper.pidfd.get(), SIGKILL);
  DAVIT_TRY(kernel::reap(helper.pid));
  if (!message) return std::unexpected(std::move(message).error());
  if (message->kind == kFailed) return std::unexpected(failure_of(message->text));
  if (pid < 0) return fail(EPROTO, "the helper that joins namespaces has ended");
  // Our own child: its pid cannot be another's before we reap it.
  DAVIT_ASSIGN(Fd pidfd, kernel::open_pidfd(pid));
  return Starting({pid, std::move(pidfd)}, std::move(socket));
}

}  // namespace davit::oci
