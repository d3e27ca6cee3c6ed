#include "native/oci/namespaces.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/keyctl.h>
#include <linux/nsfs.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "native/kernel/file.h"
#include "native/kernel/proc.h"
#include "native/kernel/process.h"
#include "native/oci/sysctl.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

namespace davit::oci {
namespace {

Result<> write_proc(int proc, const std::string& path, std::string_view value) {
  DAVIT_ASSIGN(Fd file, kernel::open_in_proc(proc, path.c_str(), O_WRONLY));
  if (::write(file.get(), value.data(), value.size()) != static_cast<ssize_t>(value.size()))
    return fail_errno("write \"/proc/" + path + '"');
  return {};
}

}  // namespace

int Namespaces::fd_of(int flag) const {
  for (const auto& [kind, fd] : joined)
    if (kind == flag) return fd.get();
  return -1;
}

namespace {

// Whether `flag`'s namespace is another than the caller's: a path may lead back to it.
Result<bool> is_apart(const Namespaces& namespaces, const Spec& spec, int flag, const char* kind) {
  int fd = namespaces.fd_of(flag);
  if (fd < 0) return spec.find_namespace(flag) != nullptr;
  struct stat theirs, own;
  if (::fstat(fd, &theirs) != 0 ||
      ::stat(("/proc/self/ns/" + std::string(kind)).c_str(), &own) != 0)
    return fail_errno(std::string("stat ") + kind + " namespace");
  return theirs.st_ino != own.st_ino;
}

// What would reach the host through a namespace that is shared with it.
Result<> check_reach(Namespaces& namespaces, const Spec& spec) {
  DAVIT_ASSIGN(bool own_uts, is_apart(namespaces, spec, CLONE_NEWUTS, "uts"));
  if (!spec.hostname.empty() && !own_uts) return fail(EINVAL, "hostname: needs a uts namespace");
  if (!spec.domainname.empty() && !own_uts)
    return fail(EINVAL, "domainname: needs a uts namespace");
  if (!spec.sysctl.empty() || !spec.net_devices.empty()) {
    DAVIT_ASSIGN(bool own_net, is_apart(namespaces, spec, CLONE_NEWNET, "net"));
    DAVIT_ASSIGN(bool own_ipc, is_apart(namespaces, spec, CLONE_NEWIPC, "ipc"));
    if (!spec.net_devices.empty() && !own_net)
      return fail(EINVAL, "linux.netDevices: needs a network namespace of its own");
    DAVIT_TRY(check_sysctl(spec, (own_uts ? CLONE_NEWUTS : 0) | (own_net ? CLONE_NEWNET : 0) |
                                     (own_ipc ? CLONE_NEWIPC : 0)));
  }
  DAVIT_ASSIGN(bool own_mounts, is_apart(namespaces, spec, CLONE_NEWNS, "mnt"));
  namespaces.shares_mounts = !own_mounts;
  if (own_mounts) return {};
  if (!spec.rootfs_propagation.empty())
    return fail(EINVAL, "linux.rootfsPropagation: needs a mount namespace");
  // Its root may not mount anything there.
  const char* member = !namespaces.user               ? nullptr
                       : !spec.mounts.empty()         ? "mounts"
                       : !spec.masked_paths.empty()   ? "linux.maskedPaths"
                       : !spec.readonly_paths.empty() ? "linux.readonlyPaths"
                       : spec.root_readonly           ? "root.readonly"
                       : spec.process.terminal        ? "process.terminal"
                                                      : nullptr;
  if (member == nullptr) return {};
  return fail(EINVAL, std::string(member) + ": needs a mount namespace");
}

}  // namespace

Result<Namespaces> open_namespaces(const Spec& spec) {
  Namespaces out;
  for (const Namespace& one : spec.namespaces) {
    out.user |= one.flag == CLONE_NEWUSER;
    if (!one.path.empty()) {
      auto fd = kernel::open_at(AT_FDCWD, one.path.c_str(), O_RDONLY);
      if (!fd) return wrap("namespace", std::move(fd).error());
      if (::ioctl(fd->get(), NS_GET_NSTYPE) != one.flag)
        return fail(EINVAL, "namespace path \"" + one.path + "\" is of another type");
      out.joined.emplace_back(one.flag, std::move(*fd));
    } else if (one.flag == CLONE_NEWCGROUP) {
      out.fresh_cgroup = true;
    } else if (one.flag == CLONE_NEWTIME) {
      out.fresh_time = true;
    } else {
      out.fresh |= one.flag;
    }
  }
  if ((out.fresh & CLONE_NEWUSER) != 0 && (spec.uid_mappings.empty() || spec.gid_mappings.empty()))
    return fail(EINVAL, "linux.uidMappings: a new user namespace needs user and group mappings");
  if (!out.user && !(spec.uid_mappings.empty() && spec.gid_mappings.empty()))
    return fail(EINVAL, "linux.uidMappings: needs a user namespace");
  DAVIT_TRY(check_reach(out, spec));
  if (!spec.time_offsets.empty() && !out.fresh_time)
    return fail(EINVAL, "linux.timeOffsets: needs a new time namespace");
  out.needs_helper = out.user && !out.joined.empty();
  // By far the slowest. Not where it must belong to a user namespace, or be there for devices.
  if (!out.user && spec.net_devices.empty()) out.late = out.fresh & CLONE_NEWNET;
  return out;
}

Result<> join_all(const Namespaces& namespaces, int except) {
  int left = 0;
  for (const auto& [flag, fd] : namespaces.joined) {
    if ((flag & (except | CLONE_NEWUSER)) != 0) continue;
    if (auto joined = kernel::join_namespaces(fd.get(), flag); !joined) {
      if (joined.error().code != EPERM || namespaces.fd_of(CLONE_NEWUSER) < 0)
        return wrap("join namespace", std::move(joined).error());
      left |= flag;
    }
  }
  if (int user = namespaces.fd_of(CLONE_NEWUSER); user >= 0) {
    if (auto joined = kernel::join_namespaces(user, CLONE_NEWUSER); !joined)
      return wrap("join user namespace", std::move(joined).error());
  }
  for (const auto& [flag, fd] : namespaces.joined)
    if ((flag & left) != 0) DAVIT_TRY(kernel::join_namespaces(fd.get(), flag));
  return {};
}

Result<> enter_time_namespace(const Spec& spec, int proc) {
  if (::unshare(CLONE_NEWTIME) != 0) return fail_errno("new time namespace");
  std::string text;
  for (const auto& [clock, offset] : spec.time_offsets)
    text += clock + ' ' + std::to_string(offset.seconds) + ' ' +
            std::to_string(offset.nanoseconds) + '\n';
  if (!text.empty()) DAVIT_TRY(write_proc(proc, "self/timens_offsets", text));
  // unshare is for children only; joining it by hand saves making one.
  Fd own(::openat(proc, "self/ns/time_for_children", O_RDONLY | O_CLOEXEC));
  if (!own) return fail_errno("open time namespace");
  return kernel::join_namespaces(own.get(), CLONE_NEWTIME);
}

Result<> write_id_maps(const Spec& spec, pid_t pid, int proc) {
  std::string base = std::to_string(pid);
  DAVIT_TRY(write_proc(proc, base + "/gid_map", map_text(spec.gid_mappings)));
  return write_proc(proc, base + "/uid_map", map_text(spec.uid_mappings));
}

Result<> become_namespace_root() {
  if (::setresgid(0, 0, 0) != 0) return fail_errno("become group 0 of the user namespace");
  if (::setresuid(0, 0, 0) != 0) return fail_errno("become user 0 of the user namespace");
  // Denied where the namespace was made with setgroups off: then there is nothing to drop into.
  if (::setgroups(0, nullptr) != 0 && errno != EPERM) return fail_errno("drop groups");
  // Changing ids has made this process traceable by its new peers again.
  ::prctl(PR_SET_DUMPABLE, 0);
  return {};
}

Result<> raise_loopback() {
  Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket) return fail_errno("socket");
  struct ifreq request = {};
  ::strcpy(request.ifr_name, "lo");
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  if (::ioctl(socket.get(), SIOCSIFFLAGS, &request) != 0) return fail_errno("raise lo");
  return {};
}

Result<> make_session_keyring(const std::string& id) {
  std::string name = "_ses." + id;
  if (::syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name.c_str()) < 0 && errno != ENOSYS)
    return fail_errno("new session keyring");
  return {};
}

}  // namespace davit::oci
