// What an attacker runs in a container where a shell is not enough. Static, for any image; built
// for tests only.
//
//   probe calls              the errno of system calls that a container should not reach, by name
//   probe calls32            some of them through the 32-bit ABI
//   probe swap A B           exchanges two directory entries until killed
//   probe spy                what it can learn of and take from others' processes, until SIGTERM
//   probe reopen SECS        opens what it executes for writing, once nobody executes it any more
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/bpf.h>
#include <linux/keyctl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <set>
#include <string>

namespace {

void say(const char* name, long result) {
  std::printf("%s %s\n", name, result >= 0 ? "allowed" : ::strerrorname_np(errno));
}

// In a child, so that what succeeds changes nobody else.
template <typename Call>
void attempt(const char* name, const Call& call) {
  std::fflush(stdout);
  pid_t child = ::fork();
  if (child == 0) {
    errno = 0;
    say(name, call());
    std::fflush(stdout);
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  if (WIFSIGNALED(status)) std::printf("%s signal %d\n", name, WTERMSIG(status));
}

long clone_with(unsigned long flags) {
  long child = ::syscall(SYS_clone, flags | SIGCHLD, nullptr, nullptr, nullptr, nullptr);
  if (child == 0) ::_exit(0);
  return child;
}

void calls() {
  struct {
    const char* name;
    long number;
    long arguments[6];
  } const plain[] = {
      // Arguments that no call could do harm with: a refusal comes before they are looked at.
      {"io_uring_setup", SYS_io_uring_setup, {-1, 0}},
      {"io_uring_enter", SYS_io_uring_enter, {-1}},
      {"io_uring_register", SYS_io_uring_register, {-1}},
      {"keyctl", SYS_keyctl, {KEYCTL_GET_KEYRING_ID, -3, 0}},
      {"add_key", SYS_add_key, {0, 0, 0, 0, 0}},
      {"request_key", SYS_request_key, {0, 0, 0, 0}},
      {"bpf", SYS_bpf, {BPF_MAP_CREATE, 0, 0}},
      {"perf_event_open", SYS_perf_event_open, {0, 0, -1, -1, 0}},
      {"userfaultfd", SYS_userfaultfd, {-1}},
      {"kexec_load", SYS_kexec_load, {0, 0, 0, -1}},
      {"kexec_file_load", SYS_kexec_file_load, {-1, -1, 0, 0, -1}},
      {"init_module", SYS_init_module, {0, 0, 0}},
      {"finit_module", SYS_finit_module, {-1, 0, -1}},
      {"delete_module", SYS_delete_module, {0, 0}},
      {"open_by_handle_at", SYS_open_by_handle_at, {-1, 0, 0}},
      {"mount", SYS_mount, {0, 0, 0, 0, 0}},
      {"umount2", SYS_umount2, {0, -1}},
      {"pivot_root", SYS_pivot_root, {0, 0}},
      {"open_tree", SYS_open_tree, {-1, 0, -1}},
      {"move_mount", SYS_move_mount, {-1, 0, -1, 0, -1}},
      {"fsopen", SYS_fsopen, {0, -1}},
      {"fsconfig", SYS_fsconfig, {-1, -1, 0, 0, 0}},
      {"fsmount", SYS_fsmount, {-1, -1, 0}},
      {"fspick", SYS_fspick, {-1, 0, -1}},
      {"mount_setattr", SYS_mount_setattr, {-1, 0, -1, 0, 0}},
      {"setns", SYS_setns, {-1, 0}},
      {"swapon", SYS_swapon, {0, 0}},
      {"acct", SYS_acct, {1}},
      {"settimeofday", SYS_settimeofday, {1, 0}},
      {"syslog", SYS_syslog, {-1, 0, 0}},
      {"quotactl", SYS_quotactl, {-1, 0, 0, 0}},
      {"nfsservctl", SYS_nfsservctl, {0, 0, 0}},
      {"iopl", SYS_iopl, {0}},
      {"lookup_dcookie", SYS_lookup_dcookie, {0, 0, 0}},
      {"unknown", 2000, {0}},
  };
  for (const auto& call : plain)
    attempt(call.name, [&] {
      const long* a = call.arguments;
      return ::syscall(call.number, a[0], a[1], a[2], a[3], a[4], a[5]);
    });
  attempt("socket AF_ALG", [] { return long{::socket(AF_ALG, SOCK_SEQPACKET, 0)}; });
  attempt("socket AF_VSOCK", [] { return long{::socket(AF_VSOCK, SOCK_STREAM, 0)}; });
  // The kernel takes the lower half of the register for the family.
  constexpr long kAbove = 1L << 32;
  attempt("socket AF_ALG above 32 bits",
          [] { return ::syscall(SYS_socket, kAbove | AF_ALG, SOCK_SEQPACKET, 0); });
  attempt("socket AF_VSOCK above 32 bits",
          [] { return ::syscall(SYS_socket, kAbove | AF_VSOCK, SOCK_STREAM, 0); });
  attempt("socket AF_UNIX", [] { return long{::socket(AF_UNIX, SOCK_STREAM, 0)}; });
  attempt("socket AF_INET6", [] { return long{::socket(AF_INET6, SOCK_STREAM, 0)}; });
  struct {
    const char* name;
    unsigned long flag;
  } const kinds[] = {{"user", CLONE_NEWUSER},    {"pid", CLONE_NEWPID}, {"net", CLONE_NEWNET},
                     {"ipc", CLONE_NEWIPC},      {"uts", CLONE_NEWUTS}, {"mount", CLONE_NEWNS},
                     {"cgroup", CLONE_NEWCGROUP}};
  for (const auto& kind : kinds) {
    std::string name = std::string("clone ") + kind.name;
    attempt(name.c_str(), [&] { return clone_with(kind.flag); });
    name = std::string("unshare ") + kind.name;
    attempt(name.c_str(), [&] { return ::syscall(SYS_unshare, kind.flag); });
  }
  attempt("unshare time", [] { return ::syscall(SYS_unshare, 0x80); });
  attempt("clone plain", [] { return clone_with(0); });
  attempt("clone3", [] {
    struct clone_args args = {};
    args.exit_signal = SIGCHLD;
    long child = ::syscall(SYS_clone3, &args, sizeof args);
    if (child == 0) ::_exit(0);
    return child;
  });
  attempt("personality READ_IMPLIES_EXEC", [] { return ::syscall(SYS_personality, 0x0400000); });
#ifdef __x86_64__
  // The third ABI of this machine: its numbers have a bit of their own.
  attempt("x32 keyctl", [] { return ::syscall(0x40000000 | SYS_keyctl, 0, -3, 0); });
  attempt("x32 getpid", [] { return ::syscall(0x40000000 | SYS_getpid); });
#endif
}

#ifdef __x86_64__
long call32(long number, long a, long b, long c) {
  long result;
  asm volatile("int $0x80"
               : "=a"(result)
               : "a"(number), "b"(a), "c"(b), "d"(c)
               : "memory", "r8", "r9", "r10", "r11");
  // The 32-bit entry leaves the upper half of the register alone.
  result = static_cast<int32_t>(result);
  if (result < 0 && result > -4096) {
    errno = static_cast<int>(-result);
    return -1;
  }
  return result;
}

void calls32() {
  struct {
    const char* name;
    long number;
    long a, b, c;
  } const table[] = {
      {"getpid", 20, 0, 0, 0},
      {"keyctl", 288, 0, -3, 0},
      {"bpf", 357, 0, 0, 0},
      {"perf_event_open", 336, 0, 0, -1},
      {"userfaultfd", 374, -1, 0, 0},
      {"kexec_load", 283, 0, 0, 0},
      {"mount", 21, 0, 0, 0},
      {"umount2", 52, 0, -1, 0},
      {"open_tree", 428, -1, 0, -1},
      {"fsopen", 430, 0, -1, 0},
      {"io_uring_setup", 425, -1, 0, 0},
      {"init_module", 128, 0, 0, 0},
      {"setns", 346, -1, 0, 0},
      {"open_by_handle_at", 342, -1, 0, 0},
      {"unshare user", 310, CLONE_NEWUSER, 0, 0},
      {"unshare mount", 310, CLONE_NEWNS, 0, 0},
      {"clone user", 120, CLONE_NEWUSER | SIGCHLD, 0, 0},
      {"socket AF_ALG", 359, AF_ALG, SOCK_SEQPACKET, 0},
      {"socket AF_VSOCK", 359, AF_VSOCK, SOCK_STREAM, 0},
      {"socket AF_UNIX", 359, AF_UNIX, SOCK_STREAM, 0},
      // socket(2) behind a pointer, out of a filter's sight.
      {"socketcall", 102, 1, 0, 0},
  };
  for (const auto& call : table)
    attempt(call.name, [&] {
      long result = call32(call.number, call.a, call.b, call.c);
      if (call.number == 120 && result == 0) ::_exit(0);
      return result;
    });
  attempt("clone3", [] { return call32(435, 0, 0, 0); });
}
#endif

// The kernel looks the paths up anew each time: as many times a second as it can.
[[noreturn]] void swap(const char* a, const char* b) {
  std::printf("swapping\n");
  std::fflush(stdout);
  for (;;) (void)::renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE);
}

bool is_number(const char* text) {
  return *text != '\0' && ::strspn(text, "0123456789") == ::strlen(text);
}

// Things of a process that lead out of a container when the process came from outside. Each is
// reported once.
void look_at(const char* pid, std::set<std::string>& seen) {
  char path[PATH_MAX], target[PATH_MAX];
  auto report = [&](const char* what, const char* detail) {
    std::string line = std::string(what) + ' ' + detail;
    if (seen.insert(line).second) std::printf("%s\n", line.c_str());
  };
  for (const char* link : {"exe", "cwd", "root"}) {
    std::snprintf(path, sizeof path, "/proc/%s/%s", pid, link);
    ssize_t n = ::readlink(path, target, sizeof target - 1);
    if (n < 0) continue;
    target[n] = '\0';
    report(link, target);
  }
  std::snprintf(path, sizeof path, "/proc/%s/fd", pid);
  if (DIR* list = ::opendir(path)) {
    while (const dirent* entry = ::readdir(list)) {
      if (!is_number(entry->d_name) || ::atoi(entry->d_name) < 3) continue;
      ssize_t n = ::readlinkat(::dirfd(list), entry->d_name, target, sizeof target - 1);
      if (n < 0) continue;
      target[n] = '\0';
      report("fd", ::strchr(target, ':') != nullptr && *target != '/' ? "unnamed" : target);
    }
    ::closedir(list);
  }
  std::snprintf(path, sizeof path, "/proc/%s/mem", pid);
  int memory = ::open(path, O_RDWR | O_CLOEXEC);
  if (memory >= 0) {
    // Only of the program that is still the runtime's: one's own kind is no catch.
    std::snprintf(path, sizeof path, "/proc/%s/exe", pid);
    ssize_t n = ::readlink(path, target, sizeof target - 1);
    if (n > 0) report("mem", std::string(target, static_cast<std::size_t>(n)).c_str());
    ::close(memory);
  }
}

volatile sig_atomic_t told_to_end = 0;

void spy() {
  ::signal(SIGTERM, [](int) { told_to_end = 1; });
  std::set<std::string> seen;
  std::string self = std::to_string(::getpid());
  std::printf("spying\n");
  std::fflush(stdout);
  while (told_to_end == 0) {
    DIR* proc = ::opendir("/proc");
    if (proc == nullptr) return;
    while (const dirent* entry = ::readdir(proc))
      if (is_number(entry->d_name) && self != entry->d_name) look_at(entry->d_name, seen);
    ::closedir(proc);
  }
  std::printf("done\n");
}

// As the target of `#!/proc/self/exe`, or of a link to it, the runtime executes itself in the
// container. Whoever holds that file open can try to write to it when it is idle. Nothing is
// changed here: that it could be is the finding.
void reopen(int seconds) {
  std::printf("waiting\n");
  std::fflush(stdout);
  struct stat own, found;
  if (::stat("/proc/self/exe", &own) != 0) return;
  int held = -1;
  for (time_t end = ::time(nullptr) + seconds; ::time(nullptr) < end && held < 0;) {
    DIR* proc = ::opendir("/proc");
    while (const dirent* entry = proc == nullptr ? nullptr : ::readdir(proc)) {
      if (!is_number(entry->d_name)) continue;
      std::string path = std::string("/proc/") + entry->d_name + "/exe";
      int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
      if (fd < 0) continue;
      char name[PATH_MAX];
      ssize_t n = ::readlink(path.c_str(), name, sizeof name - 1);
      name[n < 0 ? 0 : n] = '\0';
      // Busybox and this program are the image's own.
      bool own_kind = ::strcmp(name, "/bin/busybox") == 0 || ::strcmp(name, "/bin/probe") == 0;
      if (::fstat(fd, &found) == 0 && found.st_ino != own.st_ino && !own_kind && n > 0) {
        std::printf("held %s\n", name);
        std::fflush(stdout);
        held = fd;
        break;
      }
      ::close(fd);
    }
    if (proc != nullptr) ::closedir(proc);
  }
  if (held < 0) {
    std::printf("nothing to hold\n");
    return;
  }
  std::string path = "/proc/self/fd/" + std::to_string(held);
  char first = 0;
  if (::pread(held, &first, 1, 0) != 1) return;
  for (time_t end = ::time(nullptr) + seconds; ::time(nullptr) < end; ::usleep(5000)) {
    int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
    // The byte that is there already: a sealed file refuses it as it would any other.
    if (fd >= 0 && ::pwrite(fd, &first, 1, 0) == 1) {
      std::printf("WRITABLE\n");
      return;
    }
    if (errno != ETXTBSY) {
      std::printf("refused %s\n", ::strerrorname_np(errno));
      return;
    }
    if (fd >= 0) ::close(fd);
  }
  std::printf("busy to the end\n");
}

}  // namespace

int main(int argc, char** argv) {
  std::string what = argc > 1 ? argv[1] : "";
  if (what == "calls") {
    calls();
#ifdef __x86_64__
  } else if (what == "calls32") {
    calls32();
#endif
  } else if (what == "swap" && argc == 4) {
    swap(argv[2], argv[3]);
  } else if (what == "spy" && argc == 2) {
    spy();
  } else if (what == "reopen" && argc == 3) {
    reopen(::atoi(argv[2]));
  } else {
    std::fprintf(stderr,
                 "usage: probe calls | calls32 | swap A B | spy SECONDS | reopen SECONDS\n");
    return 2;
  }
  return 0;
}
