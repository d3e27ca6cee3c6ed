#include "native/oci/init.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "native/kernel/file.h"
#include "native/kernel/proc.h"
#include "native/kernel/process.h"
#include "native/kernel/sealed_self.h"
#include "native/kernel/trace.h"
#include "native/oci/channel.h"
#include "native/oci/hooks.h"
#include "native/oci/identity.h"
#include "native/oci/mounts.h"
#include "native/oci/process_limits.h"
#include "native/oci/program.h"
#include "native/oci/sysctl.h"
#include "native/oci/terminal.h"

namespace davit::oci {
namespace {

// Born in v2's; those of v1 the creator has made meanwhile.
Result<> join_cgroups(int socket) {
  DAVIT_ASSIGN(kernel::Message join, kernel::receive_message(socket, -1));
  if (join.kind != kJoin) return fail(ECANCELED, "the creator has gone");
  for (const Fd& tasks : join.descriptors)
    if (::write(tasks.get(), "0", 1) != 1) return fail_errno("join the cgroup");
  return {};
}

Result<> enter_namespaces(const InitPlan& plan, int proc, Warnings& warnings) {
  if (!plan.namespaces.user) DAVIT_TRY(prepare_process(plan.spec.process, 0, proc, warnings));
  if ((plan.namespaces.fresh & CLONE_NEWUSER) != 0) DAVIT_TRY(ask(plan.socket, kMapIds));
  if (!plan.helped) DAVIT_TRY(join_all(plan.namespaces, CLONE_NEWPID));
  if (plan.namespaces.user) DAVIT_TRY(become_namespace_root());
  if (plan.namespaces.fresh_time) DAVIT_TRY(enter_time_namespace(plan.spec, proc));
  if ((plan.namespaces.fresh & CLONE_NEWNET) != 0) DAVIT_TRY(raise_loopback());
  if (!plan.options.no_new_keyring) DAVIT_TRY(make_session_keyring(plan.options.id));
  if (plan.namespaces.fresh_cgroup && ::unshare(CLONE_NEWCGROUP) != 0)
    return fail_errno("new cgroup namespace");
  return {};
}

Result<> name_host(const Spec& spec) {
  if (!spec.hostname.empty() && ::sethostname(spec.hostname.data(), spec.hostname.size()) != 0)
    return fail_errno("set hostname \"" + spec.hostname + '"');
  if (!spec.domainname.empty() &&
      ::setdomainname(spec.domainname.data(), spec.domainname.size()) != 0)
    return fail_errno("set domainname \"" + spec.domainname + '"');
  return {};
}

Result<> build_root(const InitPlan& plan, int proc) {
  RootfsContext context{plan.spec, plan.sources, plan.cgroups, plan.namespaces.user,
                        plan.namespaces.shares_mounts};
  DAVIT_TRY(mount_rootfs(context));
  trace::mark("mounted");
  const Hooks& hooks = plan.spec.hooks;
  if (!hooks.prestart.empty() || !hooks.create_runtime.empty() || !hooks.create_container.empty()) {
    DAVIT_ASSIGN(std::string state, ask(plan.socket, kRunHooks));
    DAVIT_TRY(run_hooks(hooks.create_container, "createContainer", state));
  }
  if (plan.spec.process.terminal) {
    DAVIT_ASSIGN(Terminal terminal, open_terminal(plan.sources.root.get(), plan.spec.process));
    DAVIT_TRY(mount_console(plan.sources, terminal.slave.get()));
    const int master = terminal.master.get();
    DAVIT_TRY(kernel::send_message(plan.socket, kConsole, {}, {&master, 1}));
    DAVIT_TRY(use_terminal(terminal.slave.get()));
  }
  DAVIT_TRY(write_sysctl(plan.spec, proc));
  DAVIT_TRY(seal_rootfs(context));
  trace::mark("masked paths and made read-only");
  // Only a namespace of the container's own may lose the root that it began with.
  bool own = (plan.namespaces.fresh & CLONE_NEWNS) != 0;
  DAVIT_TRY(enter_rootfs(context, plan.options.no_pivot || !own));
  trace::mark("entered the root");
  return {};
}

// Streams that lead nowhere lead to the container's own null device: nothing of the host's stays
// open, which a checkpoint could not hold.
void use_own_null(const Stdio& stdio) {
  const int given[3] = {stdio.in, stdio.out, stdio.err};
  if (given[0] >= 0 && given[1] >= 0 && given[2] >= 0) return;
  Fd null(::open("/dev/null", O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY));
  struct stat st;
  if (!null || ::fstat(null.get(), &st) != 0 || !S_ISCHR(st.st_mode) || st.st_rdev != makedev(1, 3))
    return;
  for (int fd = 0; fd < 3; ++fd)
    if (given[fd] < 0) (void)::dup2(null.get(), fd);
}

// Waits for kStart from the creator, or from whoever connects to the listener. `socket` becomes the
// one over which it came. A creator that goes without having said kGo has not finished: nobody
// knows of this process then.
Result<std::string> wait_for_start(int& socket, int listener) {
  bool creator = true, kept = false;
  for (;;) {
    struct pollfd items[2] = {{creator ? socket : -1, POLLIN, 0}, {listener, POLLIN, 0}};
    if (::poll(items, 2, -1) < 0) {
      if (errno == EINTR) continue;
      return fail_errno("poll");
    }
    int from = socket;
    if (items[0].revents == 0) {
      from = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
      if (from < 0 && (errno == EINTR || errno == ECONNABORTED)) continue;
      if (from < 0) return fail_errno("accept");
    }
    auto message = kernel::receive_message(from, items[0].revents == 0 ? 1000 : -1);
    if (message && message->kind == kStart) {
      socket = from;
      return std::move(message->text);
    }
    if (from != socket)
      ::close(from);
    else if (message && message->kind == kGo)
      kept = true;
    else if (!kept)
      ::_exit(0);
    else
      creator = false;
  }
}

Result<> live(InitPlan& plan) {
  Warnings warnings = std::move(plan.warnings);
  Spec& spec = plan.spec;
  ::prctl(PR_SET_DUMPABLE, 0);
  kernel::let_go_of_seal();
  if (plan.namespaces.late != 0 && ::unshare(plan.namespaces.late) != 0)
    return fail_errno("new network namespace");
  trace::mark("network namespace made");
  DAVIT_TRY(join_cgroups(plan.socket));
  trace::mark("joined the cgroup");
  if (::setsid() < 0) return fail_errno("new session");
  if (!spec.process.terminal) DAVIT_TRY(use_stdio(plan.options.stdio));
  DAVIT_ASSIGN(Fd proc, kernel::open_proc());
  DAVIT_TRY(enter_namespaces(plan, proc.get(), warnings));
  trace::mark("entered namespaces");
  DAVIT_TRY(name_host(spec));
  ::umask(0);
  DAVIT_TRY(build_root(plan, proc.get()));
  if (!spec.process.terminal) use_own_null(plan.options.stdio);
  if (spec.personality) DAVIT_TRY(set_personality(*spec.personality));
  if (spec.memory_policy) DAVIT_TRY(set_memory_policy(*spec.memory_policy));
  DAVIT_TRY(set_exec_labels(spec.process, proc.get()));
  proc.reset();
  // Nothing of the host's is open any more when paths of the config's choosing are entered.
  kernel::close_all_from(3 + static_cast<unsigned>(plan.options.preserve_fds),
                         {plan.socket, plan.listener});
  const SeccompFilter* seccomp = spec.seccomp && !spec.seccomp->empty() ? &*spec.seccomp : nullptr;
  DAVIT_ASSIGN(std::string path, become_user(spec.process, seccomp, plan.socket, warnings));
  trace::mark("became the user, found the program");
  for (const std::string& warning : warnings)
    DAVIT_TRY(kernel::send_message(plan.socket, kWarning, warning));
  DAVIT_TRY(kernel::send_message(plan.socket, kReady));
  DAVIT_ASSIGN(std::string state, wait_for_start(plan.socket, plan.listener));
  trace::mark("told to start");
  DAVIT_TRY(run_hooks(spec.hooks.start_container, "startContainer", state));
  return run_program(spec.process, path, spec.process.no_new_privileges ? seccomp : nullptr,
                     plan.socket);
}

}  // namespace

void give_up(int socket, const Error& error) {
  (void)kernel::send_message(socket, kFailed, failure_text(error));
  ::_exit(1);
}

void run_init(InitPlan& plan) {
  auto failed = live(plan);
  give_up(plan.socket, failed.error());
}

Result<> use_stdio(const Stdio& stdio) {
  const int wanted[3] = {stdio.in, stdio.out, stdio.err};
  int copies[3];
  // First out of the way of 0 to 2, which they may themselves be.
  for (int i = 0; i < 3; ++i) {
    copies[i] = wanted[i] >= 0 ? ::fcntl(wanted[i], F_DUPFD_CLOEXEC, 3)
                               : ::open("/dev/null", O_RDWR | O_CLOEXEC);
    if (copies[i] < 0) return fail_errno("open standard streams");
    if (copies[i] < 3) copies[i] = ::fcntl(copies[i], F_DUPFD_CLOEXEC, 3);
  }
  for (int i = 0; i < 3; ++i) {
    if (::dup2(copies[i], i) < 0) return fail_errno("set standard streams");
    ::close(copies[i]);
  }
  return {};
}

Result<std::string> become_user(ProcessSpec& process, const SeccompFilter* seccomp, int socket,
                                std::vector<std::string>& warnings) {
  constexpr mode_t kUsualUmask = 022;
  warnings.insert(warnings.end(), process.warnings.begin(), process.warnings.end());
  add_home(process);
  // So that the user may open /dev/stdout again; what is somebody else's stays so.
  for (int fd = 0; fd < 3 && process.user.uid != 0; ++fd) {
    struct stat st;
    if (::fstat(fd, &st) != 0) continue;
    bool null = S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3);
    if (!null && (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode) || S_ISCHR(st.st_mode)))
      (void)::fchown(fd, process.user.uid, static_cast<gid_t>(-1));
  }
  ::umask(static_cast<mode_t>(process.user.umask.value_or(kUsualUmask)));
  // As root first, for a directory that its user may be in but not look up; else as the user.
  // Before the filter, which may forget or forbid what proving it takes.
  bool inside = enter_cwd(process.cwd).has_value();
  if (seccomp != nullptr && !process.no_new_privileges)
    DAVIT_TRY(install_seccomp(*seccomp, socket));
  DAVIT_TRY(take_identity(process, warnings));
  if (!inside) DAVIT_TRY(enter_cwd(process.cwd));
  ::prctl(PR_SET_DUMPABLE, 0);
  return find_program(process);
}

}  // namespace davit::oci
