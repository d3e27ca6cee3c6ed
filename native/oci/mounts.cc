#include "native/oci/mounts.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "native/kernel/file.h"
#include "native/kernel/in_root.h"
#include "native/kernel/mount.h"
#include "native/kernel/proc.h"
#include "native/oci/identity.h"

namespace davit::oci {
namespace {

constexpr std::size_t kLongestFsValue = 255;  // what fsconfig takes

// "/a//b/./c/" as "/a/b/c".
std::string clean(const std::string& path) {
  std::string out;
  for (std::size_t at = 0; at < path.size();) {
    std::size_t end = path.find('/', at);
    if (end == std::string::npos) end = path.size();
    std::string part = path.substr(at, end - at);
    if (part == "..")
      out.erase(out.rfind('/') == std::string::npos ? 0 : out.rfind('/'));
    else if (!part.empty() && part != ".")
      out += '/' + part;
    at = end + 1;
  }
  return out.empty() ? "/" : out;
}

// Files of a procfs that container managers replace; anything else mounted inside /proc could make
// this program believe lies about processes.
bool may_be_replaced(const std::string& path) {
  for (const char* one :
       {"/proc/cpuinfo", "/proc/diskstats", "/proc/meminfo", "/proc/stat", "/proc/swaps",
        "/proc/uptime", "/proc/loadavg", "/proc/slabinfo", "/proc/net/dev",
        "/proc/sys/kernel/ns_last_pid", "/proc/sys/crypto/fips_enabled"})
    if (path == one) return true;
  return false;
}

Result<Fd> open_destination(int root, const Mount& mount, bool directory) {
  if (mount.type == "proc" || mount.type == "sysfs") {
    // An image must not choose by a link where these go (CVE-2019-19921).
    auto found = kernel::open_in_root_nofollow(root, mount.destination, O_PATH | O_DIRECTORY);
    if (!found && found.error().code == ENOENT) {
      DAVIT_TRY(kernel::make_dir_in_root(root, mount.destination, 0755));
      found = kernel::open_in_root_nofollow(root, mount.destination, O_PATH | O_DIRECTORY);
    }
    if (!found && (found.error().code == ELOOP || found.error().code == ENOTDIR))
      return fail(0, '"' + mount.destination + "\" of the image is a link, or no directory");
    return found;
  }
  return directory ? kernel::make_dir_in_root(root, mount.destination, 0755)
                   : kernel::make_file_in_root(root, mount.destination, 0644);
}

Result<> check_proc(const Mount& mount, int destination, int source) {
  std::string path = clean(mount.destination);
  if (path == "/proc" && mount.type != "proc" && !(source >= 0 && kernel::is_procfs(source)))
    return fail(EPERM, "only a procfs may be mounted there");
  if (path != "/proc" && kernel::is_procfs(destination) && !may_be_replaced(path))
    return fail(EPERM, "it is inside a procfs");
  return {};
}

bool needs_superblock_read_only(const std::string& type) {
  for (const char* one : {"proc", "sysfs", "mqueue", "tmpfs", "devpts", "cgroup", "cgroup2"})
    if (type == one) return false;
  return true;
}

// The old call, for the one thing that fsconfig cannot: long options, such as overlay's layers.
Result<> mount_by_path(int root, const Mount& mount, const MountOptions& options, int destination) {
  std::string data;
  for (const auto& [key, value] : options.filesystem) {
    if (!data.empty()) data += ',';
    data += value.empty() ? key : key + '=' + value;
  }
  // Trusted: the host's /proc is still "/proc".
  std::string target = "/proc/self/fd/" + std::to_string(destination);
  unsigned long flags = options.read_only() ? MS_RDONLY : 0;
  if (::mount(mount.source.c_str(), target.c_str(), mount.type.c_str(), flags, data.c_str()) != 0)
    return fail_errno("mount " + mount.type);
  DAVIT_ASSIGN(Fd mounted, kernel::open_in_root(root, mount.destination, O_PATH));
  return kernel::set_attributes(mounted.get(), options.top, false);
}

Result<> mount_filesystem(const RootfsContext& context, const Mount& mount,
                          const MountOptions& options, int destination) {
  int root = context.sources.root.get();
  for (const auto& [key, value] : options.filesystem)
    if (value.size() > kLongestFsValue) return mount_by_path(root, mount, options, destination);
  std::vector<kernel::FsOption> all;
  if (!mount.source.empty()) all.emplace_back("source", mount.source);
  if (options.read_only() && needs_superblock_read_only(mount.type)) all.emplace_back("ro", "");
  // A tmpfs looks like what it covers unless told otherwise.
  struct stat st;
  bool has_mode = false;
  for (const auto& [key, value] : options.filesystem) has_mode |= key == "mode";
  if (mount.type == "tmpfs" && !has_mode && ::fstat(destination, &st) == 0) {
    char mode[8];
    ::snprintf(mode, sizeof mode, "%o", st.st_mode & 07777);
    all.emplace_back("mode", mode);
  }
  all.insert(all.end(), options.filesystem.begin(), options.filesystem.end());
  // Those two have labels of their own for each file; message queues take no such option.
  const std::string& label = context.spec.mount_label;
  if (!label.empty() && has_selinux() && mount.type != "proc" && mount.type != "sysfs" &&
      mount.type != "mqueue")
    all.emplace_back("context", label);
  // A read-only file system that has yet to be filled is sealed when it is.
  bool fill_first = options.copy_up || clean(mount.destination) == "/dev";
  std::uint64_t attributes = options.top.set | options.whole.set;
  if (fill_first) attributes &= ~std::uint64_t{MOUNT_ATTR_RDONLY};
  DAVIT_ASSIGN(Fd mounted, kernel::make_filesystem(mount.type.c_str(), all, attributes));
  if (options.copy_up) {
    DAVIT_TRY(copy_up(destination, mounted.get()));
    if (options.read_only())
      DAVIT_TRY(kernel::set_attributes(mounted.get(), {.set = MOUNT_ATTR_RDONLY}, false));
  }
  if (options.propagation != 0)
    DAVIT_TRY(kernel::set_attributes(mounted.get(), {.propagation = options.propagation}, false));
  return kernel::attach(mounted.get(), destination);
}

Result<> mount_bind(const RootfsContext& context, const MountOptions& options, int source,
                    int destination) {
  DAVIT_ASSIGN(std::uint64_t root_propagation, parse_propagation(context.spec.rootfs_propagation));
  // Mounts made in the container reach the host only where mount and rootfs both ask for it.
  bool shared = (options.propagation & MS_SHARED) != 0 && (root_propagation & MS_SHARED) != 0;
  if (!shared) DAVIT_TRY(kernel::set_attributes(source, {.propagation = MS_SLAVE}, true));
  if (options.propagation != 0)
    DAVIT_TRY(kernel::set_attributes(source, {.propagation = options.propagation},
                                     options.propagation_recursive));
  if (!options.top.empty()) DAVIT_TRY(kernel::set_attributes(source, options.top, false));
  if (!options.whole.empty()) DAVIT_TRY(kernel::set_attributes(source, options.whole, true));
  return kernel::attach(source, destination);
}

Result<> mount_one(const RootfsContext& context, const Mount& mount, int source,
                   const std::string& later) {
  DAVIT_ASSIGN(MountOptions options, parse_mount_options(mount));
  Fd copy;
  if (!later.empty()) {
    DAVIT_ASSIGN(copy, kernel::clone_tree(AT_FDCWD, later.c_str(), options.recursive));
    source = copy.get();
  }
  bool directory = true;
  if (options.bind) {
    struct stat st;
    if (::fstat(source, &st) != 0) return fail_errno("stat");
    directory = S_ISDIR(st.st_mode);
  }
  DAVIT_ASSIGN(Fd destination, open_destination(context.sources.root.get(), mount, directory));
  DAVIT_TRY(check_proc(mount, destination.get(), source));
  if (options.bind) return mount_bind(context, options, source, destination.get());
  if (mount.type == "cgroup") return mount_cgroup(context, options, destination.get());
  return mount_filesystem(context, mount, options, destination.get());
}

}  // namespace

Result<> mount_all(const RootfsContext& context) {
  const Sources& sources = context.sources;
  for (std::size_t i = 0; i < context.spec.mounts.size(); ++i) {
    const Mount& mount = context.spec.mounts[i];
    std::string later = sources.later.empty() ? "" : sources.later[i];
    if (auto mounted = mount_one(context, mount, sources.mounts[i].get(), later); !mounted)
      return wrap("mount \"" + (mount.source.empty() ? mount.type : mount.source) + "\" at \"" +
                      mount.destination + '"',
                  std::move(mounted).error());
  }
  return {};
}

}  // namespace davit::oci
