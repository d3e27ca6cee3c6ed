// Asks the kernel, not the images, what a restore has made.
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <map>

#include "native/kernel/file.h"
#include "native/kernel/in_root.h"
#include "native/kernel/mount_table.h"
#include "native/oci/checkpoint/checkpoint.h"
#include "native/oci/mount_options.h"
#include "native/oci/mounts.h"

namespace davit::oci {
namespace {

using Table = std::vector<mount_table::Entry>;

std::unexpected<Error> foreign(const std::string& what) {
  return fail(EPERM, "the checkpoint is not one of this config: " + what);
}

Result<ino_t> namespace_of(const std::string& process, const char* kind) {
  struct stat st;
  if (::stat((process + "/ns/" + kind).c_str(), &st) != 0)
    return fail_errno("namespace of \"" + process + '"');
  return st.st_ino;
}

struct Kind {
  int flag;
  const char* name;
};
constexpr Kind kKinds[] = {{CLONE_NEWNS, "mnt"},       {CLONE_NEWPID, "pid"},
                           {CLONE_NEWNET, "net"},      {CLONE_NEWIPC, "ipc"},
                           {CLONE_NEWUTS, "uts"},      {CLONE_NEWUSER, "user"},
                           {CLONE_NEWCGROUP, "cgroup"}};

Result<> verify_namespaces(const Spec& spec, const std::string& process, const std::string& init) {
  for (const Kind& kind : kKinds) {
    const Namespace* wanted = spec.find_namespace(kind.flag);
    DAVIT_ASSIGN(ino_t its, namespace_of(process, kind.name));
    // What is not asked for is the caller's; init's mounts are looked at, so all must be in them.
    ino_t right = 0;
    if (wanted == nullptr) {
      DAVIT_ASSIGN(right, namespace_of("/proc/self", kind.name));
    } else if (!wanted->path.empty()) {
      struct stat st;
      if (::stat(wanted->path.c_str(), &st) != 0) return fail_errno(wanted->path);
      right = st.st_ino;
    } else {
      DAVIT_ASSIGN(ino_t own, namespace_of("/proc/self", kind.name));
      if (its == own)
        return foreign(std::string("a process in the host's ") + kind.name + " namespace");
      DAVIT_ASSIGN(right, namespace_of(init, kind.name));
    }
    if (its != right)
      return foreign(std::string("a process in another ") + kind.name + " namespace");
  }
  return {};
}

// One thread's, from its status file.
Result<> verify_privileges(const Spec& spec, const std::string& thread) {
  DAVIT_ASSIGN(std::string text, kernel::read_file(AT_FDCWD, (thread + "/status").c_str()));
  auto value = [&](const std::string& key, int base) {
    std::size_t at = text.find('\n' + key + ":\t");
    return at == std::string::npos ? 0
                                   : ::strtoull(text.c_str() + at + key.size() + 3, nullptr, base);
  };
  const std::uint64_t bounding = spec.process.capabilities.value_or(Capabilities{}).bounding;
  for (const char* set : {"CapBnd", "CapPrm", "CapEff", "CapAmb", "CapInh"})
    if ((value(set, 16) & ~bounding) != 0) return foreign("a process with more capabilities");
  if (spec.process.no_new_privileges && value("NoNewPrivs", 10) != 1)
    return foreign("a process that may gain privileges");
  constexpr std::uint64_t kFilter = 2;
  if (spec.seccomp && value("Seccomp", 10) != kFilter)
    return foreign("a process without a seccomp filter");
  return {};
}

Result<> verify_processes(const Spec& spec, const std::string& init, const Cgroup& cgroup) {
  DAVIT_ASSIGN(std::vector<pid_t> pids, cgroup.pids());
  for (pid_t pid : pids) {
    const std::string process = "/proc/" + std::to_string(pid);
    DAVIT_TRY(verify_namespaces(spec, process, init));
    std::unique_ptr<DIR, int (*)(DIR*)> tasks(::opendir((process + "/task").c_str()), ::closedir);
    if (!tasks) return fail_errno("list threads");
    while (const dirent* entry = ::readdir(tasks.get()))
      if (entry->d_name[0] != '.')
        DAVIT_TRY(verify_privileges(spec, process + "/task/" + entry->d_name));
  }
  return {};
}

struct Found {
  Fd fd;
  struct stat st = {};
  const mount_table::Entry* mount = nullptr;  // that it is on
  bool top = false;                           // it is the mount's root
};

class Mounts {
 public:
  Mounts(const Spec& spec, const std::string& bundle, int root, const Table& table,
         const Cgroup& cgroup)
      : spec_(spec), bundle_(bundle), root_(root), table_(table), cgroup_(cgroup) {}

  Result<> verify() {
    DAVIT_TRY(verify_root());
    for (const Mount& mount : spec_.mounts)
      if (auto right = verify_mount(mount); !right)
        return wrap("\"" + mount.destination + '"', std::move(right).error());
    DAVIT_TRY(verify_sealed());
    for (const Device& device : spec_.devices) allow_node(device.path);
    for (const char* path : {"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom",
                             "/dev/tty", "/dev/console"})
      allow_node(path);
    return verify_rest();
  }

 private:
  Result<Found> find(const std::string& path) {
    Found found;
    DAVIT_ASSIGN(found.fd, kernel::open_in_root(root_, path, O_PATH));
    struct statx info;
    if (::statx(found.fd.get(), "", AT_EMPTY_PATH, STATX_MNT_ID, &info) != 0 ||
        ::fstat(found.fd.get(), &found.st) != 0)
      return fail_errno("stat \"" + path + '"');
    found.top = (info.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
    const int id = static_cast<int>(info.stx_mnt_id);
    auto entry = std::ranges::find(table_, id, &mount_table::Entry::id);
    if (entry == table_.end()) return foreign("an unknown mount at \"" + path + '"');
    found.mount = &*entry;
    return found;
  }

  static bool has(const mount_table::Entry& mount, const char* flag) {
    return (',' + mount.options + ',').find(std::string(",") + flag + ',') != std::string::npos;
  }

  // With `below`: what lies under it too, at the same place of `source`.
  void allow(const mount_table::Entry& mount, const std::string& source = "", bool below = false) {
    allowed_[mount.target] = {source, below};
  }

  Result<> verify_root() {
    DAVIT_ASSIGN(Found root, find("/"));
    struct stat st;
    const std::string source =
        spec_.root_path.starts_with('/') ? spec_.root_path : bundle_ + '/' + spec_.root_path;
    if (::stat(source.c_str(), &st) != 0) return fail_errno(source);
    if (st.st_dev != root.st.st_dev || st.st_ino != root.st.st_ino)
      return foreign("another root file system");
    if (spec_.root_readonly && !has(*root.mount, "ro")) return foreign("a writable root");
    allow(*root.mount);
    return {};
  }

  Result<> verify_mount(const Mount& mount) {
    DAVIT_ASSIGN(MountOptions options, parse_mount_options(mount));
    DAVIT_ASSIGN(Found found, find(mount.destination));
    if (!found.top) return foreign("its mount is missing");
    const std::uint64_t flags = options.top.set | options.whole.set;
    struct Flag {
      std::uint64_t bit;
      const char* name;
    };
    for (Flag flag : {Flag{MOUNT_ATTR_RDONLY, "ro"}, Flag{MOUNT_ATTR_NOSUID, "nosuid"},
                      Flag{MOUNT_ATTR_NODEV, "nodev"}, Flag{MOUNT_ATTR_NOEXEC, "noexec"}})
      if ((flags & flag.bit) != 0 && !has(*found.mount, flag.name))
        return foreign(std::string("its mount is not ") + flag.name);
    if (options.bind) {
      const std::string source =
          mount.source.starts_with('/') ? mount.source : bundle_ + '/' + mount.source;
      struct stat st;
      if (::stat(source.c_str(), &st) != 0) return fail_errno(source);
      if (st.st_dev != found.st.st_dev || st.st_ino != found.st.st_ino)
        return foreign("something else is mounted there");
      allow(*found.mount, source, options.recursive);
      return {};
    }
    const bool cgroup = mount.type == "cgroup";  // a tmpfs with one mount per controller, on v1
    if (!cgroup && found.mount->type != mount.type)
      return foreign("a " + found.mount->type + " is mounted there");
    constexpr const char* kWithoutSource[] = {"proc",   "sysfs",  "tmpfs",  "devpts",
                                              "mqueue", "cgroup", "cgroup2"};
    if (std::ranges::find(kWithoutSource, mount.type) == std::end(kWithoutSource) &&
        found.mount->source != mount.source)
      return foreign("something else is mounted there");
    allow(*found.mount);
    return cgroup ? verify_cgroups(*found.mount, options) : Result<>();
  }

  // Those below it are the container's own, and as read-only as it.
  Result<> verify_cgroups(const mount_table::Entry& top, const MountOptions& options) {
    for (const CgroupFolder& one : cgroup_folders(cgroup_.paths())) {
      auto found = find(top.target + '/' + one.name);
      if (!found || !found->top) continue;
      struct stat own;
      if (::stat(one.path.c_str(), &own) != 0) return fail_errno(one.path);
      if (own.st_dev != found->st.st_dev || own.st_ino != found->st.st_ino)
        return foreign("another cgroup is mounted there");
      if (options.read_only() && !has(*found->mount, "ro"))
        return foreign("its cgroups are writable");
      allow(*found->mount);
    }
    return {};
  }

  Result<> verify_sealed() {
    for (const std::string& path : spec_.masked_paths) {
      auto found = find(path);
      if (!found && (found.error().code == ENOENT || found.error().code == ENOTDIR)) continue;
      if (!found) return std::unexpected(std::move(found).error());
      const bool hidden = S_ISDIR(found->st.st_mode)
                              ? found->mount->type == "tmpfs" && has(*found->mount, "ro")
                              : S_ISCHR(found->st.st_mode) && found->st.st_rdev == makedev(1, 3);
      if (!found->top || !hidden) return foreign("\"" + path + "\" is not masked");
      allow(*found->mount);
    }
    for (const std::string& path : spec_.readonly_paths) {
      auto found = find(path);
      if (!found && (found.error().code == ENOENT || found.error().code == ENOTDIR)) continue;
      if (!found) return std::unexpected(std::move(found).error());
      if (!has(*found->mount, "ro")) return foreign("\"" + path + "\" is not read-only");
      if (found->top) allow(*found->mount, path, true);
    }
    return {};
  }

  // Nodes of devices may be mounts; what they are is the device cgroup's to judge.
  void allow_node(const std::string& path) {
    auto found = find(path);
    if (found && found->top && (S_ISCHR(found->st.st_mode) || S_ISBLK(found->st.st_mode)))
      allow(*found->mount);
  }

  // Every mount is one of those, or below one that brings along what is mounted on its source.
  Result<> verify_rest() {
    for (const mount_table::Entry& mount : table_) {
      if (allowed_.contains(mount.target)) continue;
      bool known = false;
      for (const auto& [target, allowed] : allowed_) {
        if (!allowed.below || !mount.target.starts_with(target + '/')) continue;
        struct stat there;
        DAVIT_ASSIGN(Found found, find(mount.target));
        const std::string source = allowed.source + mount.target.substr(target.size());
        known |= ::stat(source.c_str(), &there) == 0 && there.st_dev == found.st.st_dev &&
                 there.st_ino == found.st.st_ino;
      }
      if (!known) return foreign("a mount at \"" + mount.target + "\" that it does not have");
    }
    return {};
  }

  struct Allowed {
    std::string source;
    bool below = false;
  };

  const Spec& spec_;
  const std::string& bundle_;
  int root_;
  const Table& table_;
  const Cgroup& cgroup_;
  std::map<std::string, Allowed> allowed_;  // by target
};

}  // namespace

Result<> verify_restored(const Spec& spec, const std::string& bundle, pid_t init,
                         const Cgroup& cgroup) {
  const std::string process = "/proc/" + std::to_string(init);
  DAVIT_TRY(verify_processes(spec, process, cgroup));
  DAVIT_ASSIGN(Table table, mount_table::read(process + "/mountinfo"));
  DAVIT_ASSIGN(Fd root,
               kernel::open_at(AT_FDCWD, (process + "/root").c_str(), O_PATH | O_DIRECTORY));
  return Mounts(spec, bundle, root.get(), table, cgroup).verify();
}

}  // namespace davit::oci
