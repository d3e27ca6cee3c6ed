#include "native/oci/mount_options.h"

#include <string_view>

#ifndef MOUNT_ATTR_NOSYMFOLLOW
#define MOUNT_ATTR_NOSYMFOLLOW 0x00200000
#endif

namespace davit::oci {
namespace {

struct Attribute {
  const char* name;
  std::uint64_t set, clear;
};

// runtime-spec, "Linux mount options"; with an `r` before it, the same for all mounts below.
constexpr Attribute kAttributes[] = {
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
    {"relatime", MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME},
    {"norelatime", 0, MOUNT_ATTR__ATIME},
    {"noatime", MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME},
    {"atime", 0, MOUNT_ATTR__ATIME},
    {"strictatime", MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME},
    {"nostrictatime", 0, MOUNT_ATTR__ATIME},
    {"nosymfollow", MOUNT_ATTR_NOSYMFOLLOW, 0},
    {"symfollow", 0, MOUNT_ATTR_NOSYMFOLLOW},
};

struct Propagation {
  const char* name;
  unsigned long flags;
};
constexpr Propagation kPropagation[] = {
    {"shared", MS_SHARED},         {"rshared", MS_SHARED | MS_REC},
    {"slave", MS_SLAVE},           {"rslave", MS_SLAVE | MS_REC},
    {"private", MS_PRIVATE},       {"rprivate", MS_PRIVATE | MS_REC},
    {"unbindable", MS_UNBINDABLE}, {"runbindable", MS_UNBINDABLE | MS_REC},
};

const Attribute* find_attribute(std::string_view name) {
  for (const Attribute& attribute : kAttributes)
    if (name == attribute.name) return &attribute;
  return nullptr;
}

void apply(kernel::MountAttributes& to, const Attribute& attribute) {
  to.set = (to.set & ~attribute.clear) | attribute.set;
  to.clear = (to.clear & ~attribute.set) | attribute.clear;
  // The kernel wants all of the atime bits cleared whenever one is set.
  if ((attribute.set & MOUNT_ATTR__ATIME) != 0) to.clear |= MOUNT_ATTR__ATIME;
}

}  // namespace

Result<MountOptions> parse_mount_options(const std::vector<std::string>& options) {
  MountOptions out;
  for (const std::string& option : options) {
    std::string_view name = option;
    const Propagation* propagation = nullptr;
    for (const Propagation& known : kPropagation)
      if (name == known.name) propagation = &known;
    if (name == "bind" || name == "rbind") {
      out.bind = true;
      out.recursive |= name == "rbind";
    } else if (propagation != nullptr) {
      out.propagation.push_back(propagation->flags);
    } else if (name == "remount") {
      out.remount = true;
    } else if (name == "tmpcopyup") {
      out.copy_up = true;
    } else if (name == "idmap" || name == "ridmap") {
      return fail(ENOSYS, "mount option \"" + option + "\" is not supported yet");
    } else if (const Attribute* attribute = find_attribute(name)) {
      apply(out.attributes, *attribute);
    } else if (name.starts_with('r') && find_attribute(name.substr(1)) != nullptr) {
      apply(out.recursive_attributes, *find_attribute(name.substr(1)));
    } else if (name == "defaults" || name == "async" || name == "loud" || name.empty()) {
      continue;
    } else {
      std::size_t equals = option.find('=');
      out.data.emplace_back(option.substr(0, equals),
                            equals == std::string::npos ? "" : option.substr(equals + 1));
    }
  }
  return out;
}

}  // namespace davit::oci
