#include "native/kernel/process.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>

#include "native/kernel/file.h"
#include "native/kernel/wait.h"

namespace davit::kernel {
namespace {

void default_signals() {
  struct sigaction action = {};
  action.sa_handler = SIG_DFL;
  for (int signal = 1; signal <= SIGRTMAX; ++signal) {
    if (signal == SIGKILL || signal == SIGSTOP) continue;
    ::sigaction(signal, &action, nullptr);  // EINVAL for the two that libc keeps
  }
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

}  // namespace

Result<Child> clone_process(std::uint64_t flags, int cgroup) {
  int pidfd = -1;
  struct clone_args args = {};
  args.flags = flags | CLONE_PIDFD | CLONE_CLEAR_SIGHAND;
  args.pidfd = reinterpret_cast<std::uintptr_t>(&pidfd);
  args.exit_signal = (flags & CLONE_PARENT) != 0 ? 0 : SIGCHLD;
  if (cgroup >= 0) {
    args.flags |= CLONE_INTO_CGROUP;
    args.cgroup = static_cast<std::uint64_t>(cgroup);
  }
  // No signal may be taken in the child on the parent's behalf before the child is itself.
  long pid = ::syscall(SYS_clone3, &args, sizeof args);
  if (pid < 0) return fail_errno("clone");
  if (pid == 0) {
    default_signals();
    set_waiter(nullptr);
    return Child{0, Fd()};
  }
  return Child{static_cast<pid_t>(pid), Fd(pidfd)};
}

Result<Fd> open_pidfd(pid_t pid) {
  Fd fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!fd) return fail_errno("open process " + std::to_string(pid));
  return fd;
}

Result<> signal_pidfd(int pidfd, int signal) {
  if (::syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0) != 0)
    return fail_errno("send signal " + std::to_string(signal));
  return {};
}

Result<int> reap(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) return fail_errno("wait for process " + std::to_string(pid));
  }
  return status;
}

Result<> join_namespaces(int fd, int flags) {
  if (::setns(fd, flags) != 0) return fail_errno("setns");
  return {};
}

Result<std::uint64_t> start_time(pid_t pid) {
  char path[32];
  ::snprintf(path, sizeof path, "/proc/%d/stat", pid);
  DAVIT_ASSIGN(std::string stat, read_file(AT_FDCWD, path));
  // The command's name may hold anything, also `)`: fields are counted from its last one.
  std::size_t at = stat.rfind(')');
  for (int field = 2; field < 22 && at != std::string::npos; ++field) at = stat.find(' ', at + 1);
  if (at == std::string::npos) return fail(EINVAL, std::string("parse \"") + path + '"');
  return ::strtoull(stat.c_str() + at, nullptr, 10);
}

void close_all_from(unsigned first, std::initializer_list<int> keep) {
  while (true) {
    // The lowest that is kept, above what is done.
    unsigned next = ~0U;
    for (int fd : keep)
      if (fd >= 0 && static_cast<unsigned>(fd) >= first)
        next = std::min(next, static_cast<unsigned>(fd));
    if (next > first) ::syscall(SYS_close_range, first, next == ~0U ? next : next - 1, 0);
    if (next == ~0U) return;
    first = next + 1;
  }
}

Result<> close_on_exec_from(unsigned first) {
  if (::syscall(SYS_close_range, first, ~0U, CLOSE_RANGE_CLOEXEC) != 0)
    return fail_errno("close_range");
  return {};
}

bool set_dumpable(bool on) {
  bool before = ::prctl(PR_GET_DUMPABLE) == 1;
  ::prctl(PR_SET_DUMPABLE, on ? 1 : 0);
  return before;
}

}  // namespace davit::kernel
