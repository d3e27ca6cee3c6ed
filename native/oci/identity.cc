#include "native/oci/identity.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "native/kernel/file.h"
#include "native/kernel/proc.h"
#include "native/oci/seccomp_listener.h"

namespace davit::oci {
namespace {

constexpr std::uint64_t bit(int capability) {
  return std::uint64_t{1} << capability;
}

struct CapabilitySets {
  std::uint64_t effective = 0, permitted = 0, inheritable = 0;
};

Result<CapabilitySets> own_capabilities() {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  if (::syscall(SYS_capget, &header, data) != 0) return fail_errno("read capabilities");
  auto join = [](std::uint32_t low, std::uint32_t high) {
    return low | static_cast<std::uint64_t>(high) << 32;
  };
  return CapabilitySets{join(data[0].effective, data[1].effective),
                        join(data[0].permitted, data[1].permitted),
                        join(data[0].inheritable, data[1].inheritable)};
}

Result<> set_capabilities(const CapabilitySets& sets) {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  for (int half = 0; half < 2; ++half) {
    data[half].effective = static_cast<std::uint32_t>(sets.effective >> (32 * half));
    data[half].permitted = static_cast<std::uint32_t>(sets.permitted >> (32 * half));
    data[half].inheritable = static_cast<std::uint32_t>(sets.inheritable >> (32 * half));
  }
  if (::syscall(SYS_capset, &header, data) != 0) return fail_errno("set capabilities");
  return {};
}

Result<> drop_bounding(std::uint64_t keep) {
  for (int capability = 0; capability < 64; ++capability) {
    if ((keep & bit(capability)) != 0) continue;
    if (::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0) continue;
    if (errno == EINVAL) break;  // past the last that this kernel knows
    return fail_errno("drop capability " + std::to_string(capability));
  }
  return {};
}

Result<> take_user(const User& user) {
  // The list replaces whatever groups this program has.
  if (::setgroups(user.additional_gids.size(), user.additional_gids.data()) != 0)
    return fail_errno("set groups");
  if (::setresgid(user.gid, user.gid, user.gid) != 0)
    return fail_errno("set gid " + std::to_string(user.gid));
  if (::setresuid(user.uid, user.uid, user.uid) != 0)
    return fail_errno("set uid " + std::to_string(user.uid));
  return {};
}

Result<> raise_ambient(std::uint64_t wanted) {
  if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0)
    return fail_errno("clear ambient capabilities");
  for (int capability = 0; capability < 64; ++capability) {
    if ((wanted & bit(capability)) == 0) continue;
    if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) != 0)
      return fail_errno("raise ambient capability " + std::to_string(capability));
  }
  return {};
}

}  // namespace

Result<> install_seccomp(const SeccompFilter& filter, int socket) {
  DAVIT_ASSIGN(Fd listener, load_seccomp(filter));
  return listener ? offer_listener(socket, listener.get()) : Result<>();
}

Result<> take_identity(const ProcessSpec& process, Warnings& warnings) {
  Capabilities wanted = process.capabilities.value_or(Capabilities{});
  DAVIT_ASSIGN(CapabilitySets own, own_capabilities());
  // What bounding keeps of a capability that is not ours is nothing.
  if (std::uint64_t missing = (wanted.permitted | wanted.effective) & ~own.permitted; missing != 0)
    for (int capability = 0; capability < 64; ++capability)
      if ((missing & bit(capability)) != 0)
        warnings.push_back("capability " + std::to_string(capability) +
                           " cannot be given: this program does not have it");
  DAVIT_TRY(drop_bounding(wanted.bounding));
  if (::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0) return fail_errno("keep capabilities");
  DAVIT_TRY(take_user(process.user));
  if (::prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) != 0) return fail_errno("keep capabilities");
  CapabilitySets sets;
  sets.permitted = wanted.permitted & own.permitted;
  sets.effective = wanted.effective & sets.permitted;
  sets.inheritable = wanted.inheritable & own.permitted;
  DAVIT_TRY(set_capabilities(sets));
  DAVIT_TRY(raise_ambient(wanted.ambient & sets.permitted & sets.inheritable));
  if (process.no_new_privileges && ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
    return fail_errno("set no_new_privs");
  return {};
}

bool has_selinux() {
  return ::access("/sys/fs/selinux/enforce", F_OK) == 0;
}

Result<> set_exec_labels(const ProcessSpec& process, int proc) {
  if (!process.apparmor_profile.empty() && process.apparmor_profile != "unconfined") {
    auto file = kernel::open_in_proc(proc, "self/attr/apparmor/exec", O_WRONLY);
    std::string value = "exec " + process.apparmor_profile;
    if (!file || ::write(file->get(), value.data(), value.size()) < 0)
      return fail(file ? errno : 0, "apparmor profile \"" + process.apparmor_profile +
                                        "\": cannot be applied on this machine");
  }
  if (!process.selinux_label.empty()) {
    bool enabled = has_selinux();
    auto file = kernel::open_in_proc(proc, "self/attr/exec", O_WRONLY);
    if (!enabled || !file ||
        ::write(file->get(), process.selinux_label.data(), process.selinux_label.size()) < 0)
      return fail(enabled ? errno : 0, "selinux label \"" + process.selinux_label +
                                           "\": cannot be applied on this machine");
  }
  return {};
}

Result<> set_personality(std::uint64_t persona) {
  if (::personality(persona) == -1) return fail_errno("set personality");
  return {};
}

}  // namespace davit::oci
