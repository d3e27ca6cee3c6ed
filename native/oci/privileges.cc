#include "native/oci/privileges.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "native/kernel/file.h"
#include "native/kernel/in_root.h"

namespace davit::oci {
namespace {

bool has_capability(std::uint64_t set, int number) {
  return (set >> number & 1) != 0;
}

Result<> set_capability_sets(const Capabilities& wanted) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2];
  for (int i = 0; i < 2; i++) {
    auto half = [&](std::uint64_t set) { return static_cast<__u32>(set >> (32 * i)); };
    data[i] = {half(wanted.effective), half(wanted.permitted), half(wanted.inheritable)};
  }
  if (::syscall(SYS_capset, &header, data) != 0) return fail_errno("set capabilities");
  return {};
}

// How many capabilities this kernel knows: those past the last are EINVAL.
int last_capability() {
  int last = 0;
  while (last < 63 && ::prctl(PR_CAPBSET_READ, last + 1) >= 0) last++;
  return last;
}

Result<> drop_bounding(std::uint64_t keep, int last) {
  for (int number = 0; number <= last; number++)
    if (!has_capability(keep, number) && ::prctl(PR_CAPBSET_DROP, number) != 0)
      return fail_errno("drop capability " + std::to_string(number) + " from the bounding set");
  return {};
}

// A kernel that does not know a capability cannot give it.
Capabilities known_to_kernel(Capabilities sets, int last) {
  std::uint64_t known = last >= 63 ? ~std::uint64_t{0} : (std::uint64_t{1} << (last + 1)) - 1;
  for (std::uint64_t* set :
       {&sets.bounding, &sets.effective, &sets.inheritable, &sets.permitted, &sets.ambient})
    *set &= known;
  return sets;
}

Result<> set_groups(const User& user, bool user_namespace) {
  if (user_namespace && user.additional_gids.empty()) {
    // setgroups(2) may be denied in the namespace; without groups to set that is no failure.
    if (::setgroups(0, nullptr) != 0 && errno != EPERM) return fail_errno("setgroups");
    return {};
  }
  if (::setgroups(user.additional_gids.size(), user.additional_gids.data()) != 0)
    return fail_errno("setgroups");
  return {};
}

}  // namespace

Result<> set_rlimits(const std::vector<Rlimit>& limits, std::vector<std::string>& warnings) {
  for (const Rlimit& limit : limits) {
    rlimit wanted{limit.soft, limit.hard};
    auto resource = static_cast<__rlimit_resource>(limit.resource);
    if (::setrlimit(resource, &wanted) == 0) continue;
    if (errno != EPERM) return fail_errno("set " + limit.name);
    rlimit now;
    if (::getrlimit(resource, &now) != 0) return fail_errno("get " + limit.name);
    wanted.rlim_max = std::min<rlim_t>(limit.hard, now.rlim_max);
    wanted.rlim_cur = std::min<rlim_t>(limit.soft, wanted.rlim_max);
    if (::setrlimit(resource, &wanted) != 0) return fail_errno("set " + limit.name);
    warnings.push_back(limit.name + " is " + std::to_string(wanted.rlim_cur) + ":" +
                       std::to_string(wanted.rlim_max) + " instead of " +
                       std::to_string(limit.soft) + ":" + std::to_string(limit.hard) +
                       ", raising it needs CAP_SYS_RESOURCE");
  }
  return {};
}

Result<> set_oom_score(int proc, std::int64_t score, std::vector<std::string>& warnings) {
  std::string text = std::to_string(score);
  auto written = kernel::write_value(proc, "self/oom_score_adj", text);
  if (written || (written.error().code != EACCES && written.error().code != EPERM)) return written;
  warnings.push_back("oom_score_adj " + text + " is not set, lowering it needs CAP_SYS_RESOURCE");
  return {};
}

Result<> set_sysctls(int proc, const Spec& spec) {
  for (const auto& [key, value] : spec.sysctl) {
    auto own = [&](int flag) { return spec.find_namespace(flag) != nullptr; };
    // namespaces(7): what is not in one of these would change the host.
    bool ipc = key == "kernel.msgmax" || key == "kernel.msgmnb" || key == "kernel.msgmni" ||
               key == "kernel.sem" || key == "kernel.shmall" || key == "kernel.shmmax" ||
               key == "kernel.shmmni" || key == "kernel.shm_rmid_forced" ||
               key.starts_with("fs.mqueue.");
    bool uts = key == "kernel.domainname";
    bool allowed = (ipc && own(CLONE_NEWIPC)) || (uts && own(CLONE_NEWUTS)) ||
                   ((key.starts_with("net.") || key.starts_with("net/")) && own(CLONE_NEWNET));
    if (key == "kernel.hostname")
      return fail(EINVAL, "sysctl \"kernel.hostname\": use hostname instead");
    if (!allowed)
      return fail(EINVAL, "sysctl \"" + key + "\" is not in a separate kernel namespace");
    // Dots part the names, unless slashes do; then a dot is one of an interface's name.
    std::string path = key;
    if (path.find('/') == std::string::npos) std::replace(path.begin(), path.end(), '.', '/');
    if (("/" + path + "/").find("/../") != std::string::npos)
      return fail(EINVAL, "sysctl \"" + key + '"');
    if (value.find('\n') != std::string::npos && value.find('\n') != value.size() - 1)
      return fail(EINVAL, "sysctl \"" + key + "\": one line only");
    path = "sys/" + path;
    DAVIT_ASSIGN(Fd file, kernel::open_in_root_nofollow(proc, path, O_WRONLY));
    if (::write(file.get(), value.data(), value.size()) != static_cast<ssize_t>(value.size()))
      return fail_errno("write sysctl \"" + key + '"');
  }
  return {};
}

Result<> drop_privileges(const ProcessSpec& process, bool user_namespace) {
  int last = last_capability();
  if (process.capabilities) {
    Capabilities wanted = known_to_kernel(*process.capabilities, last);
    DAVIT_TRY(drop_bounding(wanted.bounding, last));
  }
  // The change of ids would clear what is to be kept.
  if (::prctl(PR_SET_KEEPCAPS, 1) != 0) return fail_errno("keep capabilities");
  DAVIT_TRY(set_groups(process.user, user_namespace));
  const gid_t gid = process.user.gid;
  const uid_t uid = process.user.uid;
  if (::syscall(SYS_setresgid, gid, gid, gid) != 0)
    return fail_errno("set group id " + std::to_string(gid));
  if (::syscall(SYS_setresuid, uid, uid, uid) != 0)
    return fail_errno("set user id " + std::to_string(uid));
  if (::prctl(PR_SET_KEEPCAPS, 0) != 0) return fail_errno("drop capabilities");
  if (process.user.umask) ::umask(*process.user.umask & 0777);
  if (process.capabilities) {
    Capabilities wanted = known_to_kernel(*process.capabilities, last);
    DAVIT_TRY(set_capability_sets(wanted));
    (void)::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    for (int number = 0; number <= last; number++)
      // The kernel demands it in permitted and inheritable; where it is not, it is left out, as
      // runc does.
      if (has_capability(wanted.ambient, number))
        (void)::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number, 0, 0);
  }
  if (process.no_new_privileges && ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
    return fail_errno("set no_new_privs");
  return {};
}

Result<> enter_cwd(const std::string& cwd) {
  if (::chdir(cwd.c_str()) != 0) return fail_errno("chdir to cwd (\"" + cwd + "\")");
  char here[4096];
  // The kernel marks a directory outside of the root by not starting with a slash.
  long length = ::syscall(SYS_getcwd, here, sizeof here);
  if (length < 0)
    return fail_errno("current working directory is outside of container mount namespace root");
  if (here[0] != '/')
    return fail(0, "current working directory is outside of container mount namespace root");
  return {};
}

Result<> join_keyring(const std::string& name) {
  long key = ::syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name.c_str());
  // A kernel without keyrings, or one that is out of quota for them, has nothing to hide.
  if (key < 0 && errno != ENOSYS && errno != EDQUOT && errno != EPERM)
    return fail_errno("join a session keyring");
  return {};
}

namespace {

enum class Candidate { ok, missing, denied };

Candidate candidate(const std::string& path, int& code) {
  struct stat st;
  if (::stat(path.c_str(), &st) != 0) {
    code = errno;
    return Candidate::missing;
  }
  if (S_ISDIR(st.st_mode) || (st.st_mode & 0111) == 0) {
    code = S_ISDIR(st.st_mode) ? EISDIR : EACCES;
    return Candidate::denied;
  }
  return Candidate::ok;
}

}  // namespace

Result<std::string> find_executable(const std::string& name, const std::vector<std::string>& env) {
  int code = 0;
  std::string quoted = "exec: \"" + name + '"';
  if (name.find('/') != std::string::npos) {
    switch (candidate(name, code)) {
      case Candidate::ok:
        return name;
      case Candidate::missing:
        return fail(code, quoted + ": stat " + name);
      case Candidate::denied:
        return fail(code, quoted);
    }
  }
  std::string_view path;
  for (const std::string& entry : env)
    if (entry.starts_with("PATH=")) path = std::string_view(entry).substr(5);
  bool denied = false;
  while (!path.empty()) {
    std::size_t colon = path.find(':');
    std::string folder(path.substr(0, colon));
    path.remove_prefix(colon == std::string_view::npos ? path.size() : colon + 1);
    std::string file = (folder.empty() ? "." : folder) + "/" + name;
    Candidate found = candidate(file, code);
    if (found == Candidate::ok) return file;
    denied |= found == Candidate::denied;
  }
  if (denied) return fail(EACCES, quoted);
  return fail(0, quoted + ": executable file not found in $PATH");
}

std::vector<std::string> with_home(const std::vector<std::string>& env, uid_t uid) {
  for (const std::string& entry : env)
    if (entry.starts_with("HOME=") && entry.size() > 5) return env;
  std::vector<std::string> out;
  for (const std::string& entry : env)
    if (!entry.starts_with("HOME=")) out.push_back(entry);
  std::string home = "/";
  // The image wrote this file: only a regular one of sane size is read, and never waited for.
  constexpr std::size_t kMaxPasswd = 10 << 20;
  Fd file(::open("/etc/passwd", O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat st;
  if (file && ::fstat(file.get(), &st) == 0 && S_ISREG(st.st_mode)) {
    std::string text = kernel::read_all(file.get(), kMaxPasswd).value_or("");
    std::string wanted = std::to_string(uid);
    for (std::string_view rest = text; !rest.empty();) {
      std::string_view line = rest.substr(0, rest.find('\n'));
      rest.remove_prefix(std::min(line.size() + 1, rest.size()));
      std::vector<std::string_view> fields;
      for (std::string_view left = line;;) {
        std::size_t colon = left.find(':');
        fields.push_back(left.substr(0, colon));
        if (colon == std::string_view::npos) break;
        left.remove_prefix(colon + 1);
      }
      if (fields.size() >= 6 && fields[2] == wanted) {
        if (!fields[5].empty()) home = fields[5];
        break;
      }
    }
  }
  out.push_back("HOME=" + home);
  return out;
}

}  // namespace davit::oci
