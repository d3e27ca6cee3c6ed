#include "native/oci/mount_options.h"

#include <sys/mount.h>

namespace davit::oci {
namespace {

constexpr std::uint64_t kNoSymFollow = 0x00200000;  // MOUNT_ATTR_NOSYMFOLLOW, Linux 5.14

struct AttributeOption {
  const char* name;
  std::uint64_t set, clear;
};
// Each also exists with an "r" in front, for the mount and all below it.
constexpr AttributeOption kAttributes[] = {
    {"ro", MOUNT_ATTR_RDONLY, 0},
    {"rw", 0, MOUNT_ATTR_RDONLY},
    {"nosuid", MOUNT_ATTR_NOSUID, 0},
    {"suid", 0, MOUNT_ATTR_NOSUID},
    {"nodev", MOUNT_ATTR_NODEV, 0},
    {"dev", 0, MOUNT_ATTR_NODEV},
    {"noexec", MOUNT_ATTR_NOEXEC, 0},
    {"exec", 0, MOUNT_ATTR_NOEXEC},
    {"nodiratime", MOUNT_ATTR_NODIRATIME, 0},
    {"diratime", 0, MOUNT_ATTR_NODIRATIME},
    {"nosymfollow", kNoSymFollow, 0},
    {"symfollow", 0, kNoSymFollow},
    {"noatime", MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME},
    {"atime", MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME},
    {"relatime", MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME},
    {"norelatime", MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME},
    {"strictatime", MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME},
    {"nostrictatime", MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME},
};

struct PropagationOption {
  const char* name;
  std::uint64_t flag;
};
constexpr PropagationOption kPropagation[] = {
    {"private", MS_PRIVATE},       {"rprivate", MS_PRIVATE | MS_REC},
    {"shared", MS_SHARED},         {"rshared", MS_SHARED | MS_REC},
    {"slave", MS_SLAVE},           {"rslave", MS_SLAVE | MS_REC},
    {"unbindable", MS_UNBINDABLE}, {"runbindable", MS_UNBINDABLE | MS_REC},
};

// Flags of the superblock, which fsconfig takes under the same name.
constexpr const char* kSuperblockFlags[] = {"sync", "async",  "dirsync",  "lazytime", "nolazytime",
                                            "mand", "nomand", "iversion", "silent"};
// Without effect here, as in mount(8).
constexpr const char* kIgnored[] = {"defaults", "remount", "noiversion", "loud", "auto", "noauto"};

constexpr const char* kCopyUp = "tmpcopyup";

template <std::size_t N>
bool one_of(const std::string& name, const char* const (&names)[N]) {
  for (const char* one : names)
    if (name == one) return true;
  return false;
}

void add(kernel::MountAttributes& to, const AttributeOption& option) {
  to.set &= ~option.clear;
  to.set |= option.set;
  to.clear &= ~option.set;
  to.clear |= option.clear;
}

bool add_attribute(const std::string& name, MountOptions& out) {
  for (const AttributeOption& option : kAttributes) {
    if (name == option.name) {
      add(out.top, option);
      return true;
    }
    // "relatime" is itself, not a recursive "elatime"; "rro" is "ro" for all.
    if (name.front() == 'r' && name.compare(1, std::string::npos, option.name) == 0) {
      add(out.whole, option);
      return true;
    }
  }
  return false;
}

bool add_propagation(const std::string& name, MountOptions& out) {
  for (const PropagationOption& option : kPropagation) {
    if (name != option.name) continue;
    out.propagation = option.flag & ~std::uint64_t{MS_REC};
    out.propagation_recursive = (option.flag & MS_REC) != 0;
    return true;
  }
  return false;
}

// "key=value", where a value may itself hold "=".
kernel::FsOption split(const std::string& option) {
  std::size_t equals = option.find('=');
  if (equals == std::string::npos) return {option, ""};
  return {option.substr(0, equals), option.substr(equals + 1)};
}

}  // namespace

std::vector<std::string> mount_option_names() {
  std::vector<std::string> out{"bind", "rbind", kCopyUp};
  for (const char* name : kIgnored) out.emplace_back(name);
  for (const char* name : kSuperblockFlags) out.emplace_back(name);
  for (const AttributeOption& option : kAttributes) {
    out.emplace_back(option.name);
    out.push_back(std::string("r") + option.name);
  }
  for (const PropagationOption& option : kPropagation) out.emplace_back(option.name);
  return out;
}

Result<MountOptions> parse_mount_options(const Mount& mount) {
  MountOptions out;
  out.bind = mount.type == "bind";
  out.map_ids = !mount.uid_mappings.empty();
  for (const std::string& name : mount.options) {
    if (name.empty() || one_of(name, kIgnored)) continue;
    if (name == "bind" || name == "rbind") {
      out.bind = true;
      out.recursive |= name == "rbind";
    } else if (name == kCopyUp) {
      out.copy_up = true;
    } else if (name == "idmap" || name == "ridmap") {
      out.map_ids = true;
      out.map_ids_below = name == "ridmap";
    } else if (add_attribute(name, out) || add_propagation(name, out)) {
      continue;
    } else if (one_of(name, kSuperblockFlags)) {
      if (name != "silent" && name != "iversion") out.filesystem.emplace_back(name, "");
    } else {
      out.filesystem.push_back(split(name));
    }
  }
  if (out.map_ids && !out.bind)
    return fail(EINVAL, "mount at \"" + mount.destination + "\": only a bind mount can map ids");
  return out;
}

Result<std::uint64_t> parse_propagation(const std::string& name) {
  if (name.empty()) return std::uint64_t{0};
  for (const PropagationOption& option : kPropagation)
    if (name == option.name) return option.flag;
  return fail(EINVAL, "linux.rootfsPropagation: must not be \"" + name + '"');
}

}  // namespace davit::oci
