#include "native/oci/init.h"

#include <fcntl.h>
#include <linux/nsfs.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "native/kernel/file.h"
#include "native/kernel/in_root.h"
#include "native/kernel/process.h"
#include "native/oci/channel.h"
#include "native/oci/hooks.h"
#include "native/oci/privileges.h"
#include "native/oci/terminal.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

namespace davit::oci {

Result<std::vector<JoinedNamespace>> open_namespaces(const Spec& spec) {
  std::vector<JoinedNamespace> joined;
  for (const Namespace& one : spec.namespaces) {
    if (one.path.empty()) continue;
    DAVIT_ASSIGN(Fd fd, kernel::open_at(AT_FDCWD, one.path.c_str(), O_RDONLY));
    if (::ioctl(fd.get(), NS_GET_NSTYPE) != one.flag)
      return fail(EINVAL, "namespace path \"" + one.path + "\" is not of the type it stands for");
    joined.push_back({one.flag, std::move(fd)});
  }
  return joined;
}

namespace {

// The loopback interface of a new network namespace is down.
Result<> raise_loopback() {
  Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket) return fail_errno("socket");
  ifreq request{};
  ::strcpy(request.ifr_name, "lo");
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  if (::ioctl(socket.get(), SIOCSIFFLAGS, &request) != 0) return fail_errno("raise lo");
  return {};
}

// Puts `fd`, or /dev/null, where the program expects it.
Result<> use_stdio(const Stdio& stdio) {
  Fd null;
  int wanted[3] = {stdio.in, stdio.out, stdio.err};
  for (int& fd : wanted) {
    if (fd >= 0) continue;
    if (!null) {
      DAVIT_ASSIGN(null, kernel::open_at(AT_FDCWD, "/dev/null", O_RDWR));
    }
    fd = null.get();
  }
  // Out of the way first: one of them may be 0, 1 or 2 itself.
  Fd held[3];
  for (int i = 0; i < 3; i++) {
    held[i] = Fd(::fcntl(wanted[i], F_DUPFD_CLOEXEC, 3));
    if (!held[i]) return fail_errno("duplicate a stdio descriptor");
  }
  for (int i = 0; i < 3; i++)
    if (::dup2(held[i].get(), i) < 0) return fail_errno("use a stdio descriptor");
  return {};
}

// The user may open /dev/stdout again, which asks for its owner.
void own_stdio(uid_t uid) {
  for (int fd : {0, 1, 2}) {
    struct stat st;
    if (::fstat(fd, &st) != 0 || st.st_uid == uid) continue;
    if (S_ISCHR(st.st_mode) && st.st_rdev == ::makedev(1, 3)) continue;
    if (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode) || S_ISSOCK(st.st_mode))
      (void)::fchown(fd, uid, static_cast<gid_t>(-1));
  }
}

// `proc` is a trusted procfs: the container's may lie (CVE-2025-52881).
Result<> set_labels(int proc, const ProcessSpec& process) {
  if (!process.apparmor_profile.empty() && process.apparmor_profile != "unconfined") {
    if (::access("/sys/kernel/security/apparmor", F_OK) != 0)
      return fail(0, "apparmor profile \"" + process.apparmor_profile +
                         "\": AppArmor is not enabled on this machine");
    auto set = kernel::write_value(proc, "self/attr/exec", "exec " + process.apparmor_profile);
    if (!set) return wrap("apparmor profile \"" + process.apparmor_profile + '"', set.error());
  }
  if (!process.selinux_label.empty()) {
    if (::access("/sys/fs/selinux", F_OK) != 0) return {};
    DAVIT_TRY(kernel::write_value(proc, "self/attr/exec", process.selinux_label));
  }
  return {};
}

Result<> say_warnings(int channel, const std::vector<std::string>& warnings) {
  for (const std::string& warning : warnings)
    DAVIT_TRY(kernel::send_message(channel, kWarning, warning));
  return {};
}

// The last steps of both kinds of child. Returns only on failure.
Result<> become(const ProcessSpec& process, const Spec& spec, const std::string& file,
                int preserved_fds) {
  bool user_namespace = spec.find_namespace(CLONE_NEWUSER) != nullptr;
  std::vector<std::string> env = with_home(process.env, process.user.uid);
  std::vector<char*> argv, envp;
  for (const std::string& text : process.args) argv.push_back(const_cast<char*>(text.c_str()));
  for (const std::string& text : env) envp.push_back(const_cast<char*>(text.c_str()));
  argv.push_back(nullptr);
  envp.push_back(nullptr);
  own_stdio(process.user.uid);
  const bool filtered = spec.seccomp && !spec.seccomp->empty();
  // Without no_new_privs a filter takes CAP_SYS_ADMIN, which is about to go.
  if (filtered && !process.no_new_privileges) {
    DAVIT_ASSIGN(Fd listener, load_seccomp(*spec.seccomp));
  }
  DAVIT_TRY(drop_privileges(process, user_namespace));
  // As the user: a directory that only the user may enter, or that only root could.
  DAVIT_TRY(enter_cwd(process.cwd));
  DAVIT_TRY(kernel::close_on_exec_from(3 + static_cast<unsigned>(preserved_fds)));
  if (filtered && process.no_new_privileges) {
    DAVIT_ASSIGN(Fd listener, load_seccomp(*spec.seccomp));
  }
  ::execve(file.c_str(), argv.data(), envp.data());
  return fail_errno("exec \"" + file + '"');
}

Result<> enter_namespaces(const InitContext& context) {
  const Spec& spec = context.spec;
  // The user namespace first: it owns what comes after.
  for (bool user : {true, false})
    for (const JoinedNamespace& one : context.joined) {
      // A pid namespace is entered by being born in it, which the caller has seen to.
      if ((one.flag == CLONE_NEWUSER) != user || one.flag == CLONE_NEWPID) continue;
      DAVIT_TRY(kernel::join_namespaces(one.fd.get(), one.flag));
    }
  if (spec.new_namespace(CLONE_NEWUSER)) DAVIT_TRY(wait_for(context.channel, kMaps));
  if (spec.find_namespace(CLONE_NEWUSER) != nullptr) {
    if (::setresgid(0, 0, 0) != 0 || ::setresuid(0, 0, 0) != 0)
      return fail_errno("become root of the user namespace");
  } else {
    // Nobody who shares a namespace may trace this process or look at its descriptors.
    kernel::set_dumpable(false);
  }
  if (::setsid() < 0) return fail_errno("setsid");
  if (!context.options.no_new_keyring) DAVIT_TRY(join_keyring("_ses." + context.options.id));
  if (spec.new_namespace(CLONE_NEWNET)) DAVIT_TRY(raise_loopback());
  return {};
}

Result<> set_names(const Spec& spec) {
  if (!spec.hostname.empty()) {
    if (spec.find_namespace(CLONE_NEWUTS) == nullptr)
      return fail(EINVAL, "hostname: needs a uts namespace of the container's own");
    if (::sethostname(spec.hostname.data(), spec.hostname.size()) != 0)
      return fail_errno("set the hostname \"" + spec.hostname + '"');
  }
  if (!spec.domainname.empty()) {
    if (spec.find_namespace(CLONE_NEWUTS) == nullptr)
      return fail(EINVAL, "domainname: needs a uts namespace of the container's own");
    if (::setdomainname(spec.domainname.data(), spec.domainname.size()) != 0)
      return fail_errno("set the domainname \"" + spec.domainname + '"');
  }
  return {};
}

// Waits once for being in the cgroup, when the first step needs it.
class CgroupGate {
 public:
  explicit CgroupGate(const InitContext& context) : context_(context) {}
  Result<> operator()() {
    if (open_) return {};
    open_ = true;
    DAVIT_TRY(wait_for(context_.channel, kJoined));
    // Its root is the cgroup at this moment, so not a step earlier.
    if (context_.spec.new_namespace(CLONE_NEWCGROUP) && ::unshare(CLONE_NEWCGROUP) != 0)
      return fail_errno("unshare the cgroup namespace");
    return {};
  }

 private:
  const InitContext& context_;
  bool open_ = false;
};

Result<> build_root(const InitContext& context, CgroupGate& gate, const HostHandles& host,
                    Terminal& terminal) {
  const Spec& spec = context.spec;
  DAVIT_ASSIGN(Rootfs rootfs, Rootfs::open(context.rootfs, spec));
  DAVIT_TRY(rootfs.mount_all(spec, context.options.bundle, context.cgroup, [&] { return gate(); }));
  DAVIT_TRY(rootfs.make_devices(spec, host));
  // As runc: a working directory that the image lacks is made.
  if (auto cwd = kernel::make_dir_in_root(rootfs.fd(), spec.process.cwd, 0755);
      !cwd && cwd.error().code != EROFS && cwd.error().code != EEXIST &&
      cwd.error().code != ENOTDIR)
    return std::unexpected(cwd.error());
  if (spec.process.terminal) {
    DAVIT_ASSIGN(terminal, open_terminal(rootfs.fd(), spec.process.console_rows,
                                         spec.process.console_columns));
    DAVIT_TRY(rootfs.bind_console(terminal.slave.get()));
  }
  if (!spec.hooks.prestart.empty() || !spec.hooks.create_runtime.empty()) {
    DAVIT_TRY(gate());
    DAVIT_TRY(kernel::send_message(context.channel, kHooks));
    DAVIT_TRY(wait_for(context.channel, kHooked));
  }
  if (!spec.hooks.create_container.empty())
    DAVIT_TRY(run_hooks(
        spec.hooks.create_container, "createContainer",
        state_json(spec, context.options.id, "creating", ::getpid(), context.options.bundle)));
  DAVIT_TRY(rootfs.protect(spec, host));
  return rootfs.enter(spec, !context.options.no_pivot);
}

Result<> init(const InitContext& context) {
  const Spec& spec = context.spec;
  std::vector<std::string> warnings;
  CgroupGate gate(context);
  DAVIT_TRY(enter_namespaces(context));
  DAVIT_ASSIGN(HostHandles host, open_host_handles());
  DAVIT_TRY(use_stdio(spec.process.terminal ? Stdio{} : context.options.stdio));
  Terminal terminal;
  if (spec.find_namespace(CLONE_NEWNS) != nullptr) {
    DAVIT_TRY(build_root(context, gate, host, terminal));
  } else if (::chroot(context.rootfs.c_str()) != 0 || ::chdir("/") != 0) {
    return fail_errno("chroot \"" + context.rootfs + '"');
  }
  DAVIT_TRY(gate());
  if (spec.process.terminal) {
    if (!terminal.slave) return fail(EINVAL, "process.terminal: needs a mount namespace");
    DAVIT_TRY(use_terminal(terminal.slave.get()));
    DAVIT_TRY(kernel::send_message(context.channel, kConsole, {}, terminal.master.get()));
    terminal = Terminal{};
  }
  DAVIT_TRY(set_names(spec));
  DAVIT_TRY(set_sysctls(host.proc.get(), spec));
  if (spec.personality && ::personality(*spec.personality) < 0)
    return fail_errno("set the personality");
  if (spec.process.oom_score_adj)
    DAVIT_TRY(set_oom_score(host.proc.get(), *spec.process.oom_score_adj, warnings));
  DAVIT_TRY(set_labels(host.proc.get(), spec.process));
  host = HostHandles{};
  DAVIT_TRY(set_rlimits(spec.process.rlimits, warnings));
  DAVIT_TRY(enter_cwd(spec.process.cwd));
  DAVIT_ASSIGN(std::string file, find_executable(spec.process.args[0], spec.process.env));
  DAVIT_TRY(say_warnings(context.channel, warnings));
  DAVIT_TRY(kernel::send_message(context.channel, kReady));
  DAVIT_TRY(wait_for(context.channel, kStart));
  if (!spec.hooks.start_container.empty())
    DAVIT_TRY(run_hooks(
        spec.hooks.start_container, "startContainer",
        state_json(spec, context.options.id, "created", ::getpid(), context.options.bundle)));
  return become(spec.process, spec, file, context.options.preserve_fds);
}

Result<> exec(const ExecContext& context) {
  const Spec& spec = context.spec;
  const ProcessSpec& process = context.process;
  std::vector<std::string> warnings;
  bool user_namespace = spec.find_namespace(CLONE_NEWUSER) != nullptr;
  if (!user_namespace) kernel::set_dumpable(false);
  DAVIT_ASSIGN(HostHandles host, open_host_handles());
  DAVIT_TRY(use_stdio(process.terminal ? Stdio{} : context.stdio));
  if (process.oom_score_adj)
    DAVIT_TRY(set_oom_score(host.proc.get(), *process.oom_score_adj, warnings));
  DAVIT_TRY(set_labels(host.proc.get(), process));
  host = HostHandles{};
  if (!context.keyring.empty()) DAVIT_TRY(join_keyring(context.keyring));
  DAVIT_TRY(wait_for(context.channel, kJoined));
  int flags = 0;
  for (const Namespace& one : spec.namespaces)
    if (one.flag != CLONE_NEWPID) flags |= one.flag;
  if (flags != 0) DAVIT_TRY(kernel::join_namespaces(context.init, flags));
  if (context.root >= 0 && (::fchdir(context.root) != 0 || ::chroot(".") != 0))
    return fail_errno("enter the container's root");
  if (user_namespace && (::setresgid(0, 0, 0) != 0 || ::setresuid(0, 0, 0) != 0))
    return fail_errno("become root of the user namespace");
  if (::setsid() < 0) return fail_errno("setsid");
  if (process.terminal) {
    DAVIT_ASSIGN(Fd root, kernel::open_at(AT_FDCWD, "/", O_PATH | O_DIRECTORY));
    DAVIT_ASSIGN(Terminal terminal,
                 open_terminal(root.get(), process.console_rows, process.console_columns));
    DAVIT_TRY(use_terminal(terminal.slave.get()));
    DAVIT_TRY(kernel::send_message(context.channel, kConsole, {}, terminal.master.get()));
  }
  DAVIT_TRY(set_rlimits(process.rlimits, warnings));
  DAVIT_TRY(enter_cwd(process.cwd));
  DAVIT_ASSIGN(std::string file, find_executable(process.args[0], process.env));
  DAVIT_TRY(say_warnings(context.channel, warnings));
  return become(process, spec, file, 0);
}

[[noreturn]] void end(int channel, const Result<>& result) {
  // Only failures return; a parent that is gone has nobody to tell.
  (void)say_failed(channel, result ? Error{EPROTO, "exec returned"} : result.error());
  ::_exit(255);
}

}  // namespace

void run_init(const InitContext& context) {
  (void)::prctl(PR_SET_NAME, "davit:init");
  end(context.channel, init(context));
}

void run_exec(const ExecContext& context) {
  (void)::prctl(PR_SET_NAME, "davit:exec");
  end(context.channel, exec(context));
}

}  // namespace davit::oci
