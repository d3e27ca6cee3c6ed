#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "native/kernel/file.h"
#include "native/kernel/mount.h"
#include "native/oci/mounts.h"

namespace davit::oci {
namespace {

constexpr std::uint64_t kAttributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;

struct Part {
  std::string controllers, path;  // as Cgroup::paths() writes them; v2 has no controllers
};

Part split(const std::string& text) {
  std::size_t at = text.find("=/");
  return {text.substr(0, at), text.substr(at + 1)};
}

std::string directory_of(const std::string& controllers) {
  return controllers.starts_with("name=") ? controllers.substr(5) : controllers;
}

// With a cgroup namespace a fresh mount begins at the container's cgroup; without, only a bind of
// that directory does.
Result<Fd> open_part(const RootfsContext& context, const Part& part, std::uint64_t attributes) {
  if (context.spec.find_namespace(CLONE_NEWCGROUP) == nullptr) {
    DAVIT_ASSIGN(Fd tree, kernel::clone_tree(AT_FDCWD, part.path.c_str(), false));
    DAVIT_TRY(
        kernel::set_attributes(tree.get(), {.set = attributes, .propagation = MS_PRIVATE}, false));
    return tree;
  }
  if (part.controllers.empty()) return kernel::make_filesystem("cgroup2", {}, attributes);
  std::vector<kernel::FsOption> options;
  std::string_view rest = part.controllers;
  while (!rest.empty()) {
    std::string one(rest.substr(0, rest.find(',')));
    rest.remove_prefix(std::min(rest.size(), one.size() + 1));
    if (one.starts_with("name="))
      options.insert(options.end(), {{"none", ""}, {"name", one.substr(5)}});
    else
      options.emplace_back(one, "");
  }
  return kernel::make_filesystem("cgroup", options, attributes);
}

// Where "cpu,cpuacct" is one hierarchy, programs also look for "cpu" and "cpuacct".
Result<> link_each(int dir, const std::string& controllers) {
  if (controllers.find(',') == std::string::npos) return {};
  std::string_view rest = controllers;
  while (!rest.empty()) {
    std::string one(rest.substr(0, rest.find(',')));
    rest.remove_prefix(std::min(rest.size(), one.size() + 1));
    if (::symlinkat(controllers.c_str(), dir, one.c_str()) != 0)
      return fail_errno("link \"" + one + '"');
  }
  return {};
}

}  // namespace

std::vector<CgroupFolder> cgroup_folders(const std::vector<std::string>& paths) {
  std::vector<CgroupFolder> out;
  for (const std::string& text : paths)
    if (Part part = split(text); !part.controllers.empty())
      out.push_back({directory_of(part.controllers), part.path});
  return out;
}

Result<> mount_cgroup(const RootfsContext& context, const MountOptions& options, int destination) {
  std::uint64_t attributes = kAttributes | (options.top.set & MOUNT_ATTR_RDONLY);
  bool v1 = false;
  for (const std::string& text : context.cgroups) v1 |= !split(text).controllers.empty();
  if (!v1) {
    if (context.cgroups.empty()) return fail(ENOENT, "no cgroup");
    DAVIT_ASSIGN(Fd mount, open_part(context, split(context.cgroups.front()), attributes));
    return kernel::attach(mount.get(), destination);
  }
  DAVIT_ASSIGN(Fd top,
               kernel::make_filesystem("tmpfs", {{"mode", "755"}, {"size", "1m"}}, kAttributes));
  DAVIT_TRY(kernel::attach(top.get(), destination));
  for (const std::string& text : context.cgroups) {
    Part part = split(text);
    if (part.controllers.empty()) continue;
    std::string name = directory_of(part.controllers);
    DAVIT_TRY(kernel::make_dirs(top.get(), name.c_str(), 0755));
    DAVIT_ASSIGN(Fd dir, kernel::open_at(top.get(), name.c_str(), O_PATH | O_DIRECTORY));
    DAVIT_ASSIGN(Fd mount, open_part(context, part, attributes));
    DAVIT_TRY(kernel::attach(mount.get(), dir.get()));
    DAVIT_TRY(link_each(top.get(), part.controllers));
  }
  if (options.read_only())
    DAVIT_TRY(kernel::set_attributes(top.get(), {.set = MOUNT_ATTR_RDONLY}, false));
  return {};
}

}  // namespace davit::oci
