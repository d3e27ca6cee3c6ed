#include "native/kernel/mount.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

namespace davit::kernel {
namespace {

std::unexpected<Error> fail_filesystem(int context, const char* type) {
  int code = errno;
  std::string message = std::string("mount ") + type;
  // Each read gives one message, `e text` for errors, without a newline to count on.
  char line[256];
  ssize_t n;
  while ((n = ::read(context, line, sizeof line)) > 0) {
    if (n < 3 || line[0] != 'e') continue;
    std::string_view text(line + 2, static_cast<std::size_t>(n) - 2);
    while (!text.empty() && (text.back() == '\n' || text.back() == '\0')) text.remove_suffix(1);
    message += ": ";
    message += text;
    break;
  }
  return fail(code, std::move(message));
}

}  // namespace

Result<Fd> clone_tree(int dir, const char* path, bool recursive) {
  unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_NO_AUTOMOUNT;
  if (recursive) flags |= AT_RECURSIVE;
  if (*path == '\0') flags |= AT_EMPTY_PATH;
  Fd tree(::open_tree(dir, path, flags));
  if (!tree) return fail_errno(std::string("open \"") + path + '"');
  return tree;
}

Result<> set_attributes(int mount, const MountAttributes& attributes, bool recursive) {
  struct mount_attr attr = {};
  attr.attr_set = attributes.set;
  attr.attr_clr = attributes.clear;
  attr.propagation = attributes.propagation;
  if (attributes.userns >= 0) {
    attr.attr_set |= MOUNT_ATTR_IDMAP;
    attr.userns_fd = static_cast<std::uint64_t>(attributes.userns);
  }
  unsigned flags = AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0);
  if (::mount_setattr(mount, "", flags, &attr, sizeof attr) != 0)
    return fail_errno("set mount attributes");
  return {};
}

Result<Fd> make_filesystem(const char* type, const std::vector<FsOption>& options,
                           std::uint64_t attributes, const std::vector<FsDescriptor>& descriptors) {
  Fd context(::fsopen(type, FSOPEN_CLOEXEC));
  if (!context) return fail_errno(std::string("mount ") + type);
  for (const auto& [key, fd] : descriptors)
    if (::fsconfig(context.get(), FSCONFIG_SET_FD, key.c_str(), nullptr, fd.get()) != 0)
      return fail_filesystem(context.get(), type);
  for (const auto& [key, value] : options) {
    int rc = value.empty() && key != "source"
                 ? ::fsconfig(context.get(), FSCONFIG_SET_FLAG, key.c_str(), nullptr, 0)
                 : ::fsconfig(context.get(), FSCONFIG_SET_STRING, key.c_str(), value.c_str(), 0);
    if (rc != 0) {
      auto failure = fail_filesystem(context.get(), type);
      failure.error().message += ": option \"" + key + (value.empty() ? "" : "=" + value) + '"';
      return failure;
    }
  }
  if (::fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0)
    return fail_filesystem(context.get(), type);
  Fd mount(::fsmount(context.get(), FSMOUNT_CLOEXEC, static_cast<unsigned>(attributes)));
  if (!mount) return fail_filesystem(context.get(), type);
  return mount;
}

Result<> attach(int mount, int destination) {
  if (::move_mount(mount, "", destination, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) !=
      0)
    return fail_errno("attach mount");
  return {};
}

}  // namespace davit::kernel
