#include "native/oci/sysctl.h"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include "native/kernel/proc.h"

namespace davit::oci {
namespace {

// The namespace that a setting belongs to; 0 for none.
int namespace_of(std::string_view path) {
  for (std::string_view one :
       {"kernel/msgmax", "kernel/msgmnb", "kernel/msgmni", "kernel/sem", "kernel/shmall",
        "kernel/shmmax", "kernel/shmmni", "kernel/shm_rmid_forced"})
    if (path == one) return CLONE_NEWIPC;
  if (path.starts_with("fs/mqueue/")) return CLONE_NEWIPC;
  if (path.starts_with("net/")) return CLONE_NEWNET;
  if (path == "kernel/domainname" || path == "kernel/hostname") return CLONE_NEWUTS;
  return 0;
}

// "net.ipv4.ip_forward" or "net/ipv4/conf/eth0.100/rp_filter" as a path: the separator is the
// first of the two that occurs, the other one then stands for itself, as in sysctl(8).
std::string path_of(const std::string& name) {
  std::size_t first = name.find_first_of("./");
  if (first == std::string::npos || name[first] == '/') return name;
  std::string path = name;
  for (char& c : path) c = c == '.' ? '/' : c == '/' ? '.' : c;
  return path;
}

bool is_safe(const std::string& path) {
  return !path.starts_with('/') && ("/" + path + "/").find("/../") == std::string::npos;
}

}  // namespace

Result<> check_sysctl(const Spec& spec, int own_namespaces) {
  for (const auto& [name, value] : spec.sysctl) {
    std::string path = path_of(name);
    int flag = namespace_of(path);
    if (flag == 0 || !is_safe(path))
      return fail(EINVAL, "linux.sysctl: \"" + name + "\" is not a setting of a namespace");
    if (path == "kernel/hostname")
      return fail(EINVAL, "linux.sysctl: \"" + name + "\" is set by the hostname field");
    if ((own_namespaces & flag) == 0)
      return fail(EINVAL, "linux.sysctl: \"" + name + "\" needs a namespace of its own");
  }
  return {};
}

Result<> write_sysctl(const Spec& spec, int proc) {
  for (const auto& [name, value] : spec.sysctl) {
    auto file = kernel::open_in_proc(proc, ("sys/" + path_of(name)).c_str(), O_WRONLY);
    if (!file) return wrap("sysctl \"" + name + '"', std::move(file).error());
    if (::write(file->get(), value.data(), value.size()) != static_cast<ssize_t>(value.size()))
      return fail_errno("sysctl \"" + name + "\": write \"" + value + '"');
  }
  return {};
}

}  // namespace davit::oci
