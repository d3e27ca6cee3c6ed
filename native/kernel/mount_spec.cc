#include "native/kernel/mount_spec.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <string_view>

#include "native/kernel/fd.h"
#include "native/kernel/loop_device.h"

namespace davit::mount_spec {
namespace {

struct Flag {
  std::string_view name;
  unsigned long bits;
  bool clear;
};

constexpr Flag kFlags[] = {
    {"async", MS_SYNCHRONOUS, true},
    {"atime", MS_NOATIME, true},
    {"bind", MS_BIND, false},
    {"defaults", 0, false},
    {"dev", MS_NODEV, true},
    {"diratime", MS_NODIRATIME, true},
    {"dirsync", MS_DIRSYNC, false},
    {"exec", MS_NOEXEC, true},
    {"mand", MS_MANDLOCK, false},
    {"noatime", MS_NOATIME, false},
    {"nodev", MS_NODEV, false},
    {"nodiratime", MS_NODIRATIME, false},
    {"noexec", MS_NOEXEC, false},
    {"nomand", MS_MANDLOCK, true},
    {"norelatime", MS_RELATIME, true},
    {"nostrictatime", MS_STRICTATIME, true},
    {"nosuid", MS_NOSUID, false},
    {"rbind", MS_BIND | MS_REC, false},
    {"relatime", MS_RELATIME, false},
    {"remount", MS_REMOUNT, false},
    {"ro", MS_RDONLY, false},
    {"rw", MS_RDONLY, true},
    {"strictatime", MS_STRICTATIME, false},
    {"suid", MS_NOSUID, true},
    {"sync", MS_SYNCHRONOUS, false},
};

constexpr Flag kPropagation[] = {
    {"private", MS_PRIVATE, false},       {"rprivate", MS_PRIVATE | MS_REC, false},
    {"shared", MS_SHARED, false},         {"rshared", MS_SHARED | MS_REC, false},
    {"slave", MS_SLAVE, false},           {"rslave", MS_SLAVE | MS_REC, false},
    {"unbindable", MS_UNBINDABLE, false}, {"runbindable", MS_UNBINDABLE | MS_REC, false},
};

// Flags that a bind mount takes only in a second call, as a remount.
constexpr unsigned long kPerMountFlags = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME |
                                         MS_NODIRATIME | MS_RELATIME | MS_STRICTATIME;

const Flag* find(std::string_view name, const Flag* begin, const Flag* end) {
  const Flag* it = std::find_if(begin, end, [&](const Flag& flag) { return flag.name == name; });
  return it == end ? nullptr : it;
}

std::string quoted(const std::string& verb, const std::string& target) {
  return verb + " \"" + target + "\"";
}

Result<> system_mount(const std::string& source, const std::string& target, const std::string& type,
                      unsigned long flags, const std::string& data) {
  if (::mount(source.c_str(), target.c_str(), type.c_str(), flags, data.c_str()) < 0) {
    return fail_errno("mount " + type + " \"" + source + "\" on \"" + target + "\"");
  }
  return {};
}

// mount(2) copies at most one page of data, its terminating zero included.
bool fits(const std::string& data) {
  return data.size() < static_cast<size_t>(getpagesize());
}

Result<> mount_from(const std::string& base, const std::string& source, const std::string& target,
                    const std::string& type, unsigned long flags, const std::string& data) {
  if (target.empty() || target.front() != '/') {
    return fail(EINVAL, quoted("mount on relative path", target));
  }
  Fd back(open(".", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!back) return fail_errno("open working directory");
  if (chdir(base.c_str()) < 0) return fail_errno(quoted("change to", base));
  Result<> mounted = system_mount(source, target, type, flags, data);
  if (fchdir(back.get()) < 0 && mounted) {
    umount2(target.c_str(), UMOUNT_NOFOLLOW | MNT_DETACH);
    return fail_errno("return to working directory");
  }
  return mounted;
}

Result<> finish(const std::string& target, const Parsed& parsed) {
  if ((parsed.flags & MS_BIND) != 0 && (parsed.flags & MS_REMOUNT) == 0 &&
      (parsed.flags & kPerMountFlags) != 0) {
    unsigned long flags = (parsed.flags & kPerMountFlags) | MS_BIND | MS_REMOUNT;
    if (::mount("", target.c_str(), "", flags, "") < 0) {
      return fail_errno(quoted("set flags of bind mount", target));
    }
  }
  for (unsigned long propagation : parsed.propagation) {
    if (::mount("", target.c_str(), "", propagation, "") < 0) {
      return fail_errno(quoted("set propagation of", target));
    }
  }
  return {};
}

Result<> mount_parsed(const Spec& spec, const std::string& source, const Parsed& parsed,
                      const std::string& target) {
  if (fits(parsed.data)) {
    return system_mount(source, target, spec.type, parsed.flags, parsed.data);
  }
  std::string base;
  std::string data = spec.type == "overlay" ? compact_overlay(parsed.data, &base) : parsed.data;
  if (!fits(data)) {
    return fail(E2BIG, "mount " + spec.type + " on \"" + target + "\": " +
                           std::to_string(data.size()) + " bytes of options exceed a page");
  }
  return mount_from(base, source, target, spec.type, parsed.flags, data);
}

}  // namespace

Parsed parse(const Spec& spec) {
  Parsed parsed;
  for (const std::string& option : spec.options) {
    if (const Flag* flag = find(option, std::begin(kFlags), std::end(kFlags))) {
      parsed.flags = flag->clear ? parsed.flags & ~flag->bits : parsed.flags | flag->bits;
    } else if (const Flag* type = find(option, std::begin(kPropagation), std::end(kPropagation))) {
      parsed.propagation.push_back(type->bits);
    } else if (option == "loop") {
      parsed.loop = true;
    } else if (!option.empty()) {
      if (!parsed.data.empty()) parsed.data += ',';
      parsed.data += option;
    }
  }
  if (spec.type == "bind") parsed.flags |= MS_BIND;
  if (spec.type == "rbind") parsed.flags |= MS_BIND | MS_REC;
  return parsed;
}

std::string compact_overlay(const std::string& data, std::string* base) {
  constexpr std::string_view kKey = "lowerdir=";
  base->clear();
  size_t start = data.starts_with(kKey) ? 0 : data.find(",lowerdir=");
  if (start == std::string::npos) return data;
  start = data.find('=', start) + 1;
  size_t end = std::min(data.find(',', start), data.size());

  std::vector<std::string_view> layers;
  std::string_view list = std::string_view(data).substr(start, end - start);
  for (size_t from = 0; from <= list.size();) {
    size_t to = std::min(list.find(':', from), list.size());
    layers.push_back(list.substr(from, to - from));
    from = to + 1;
  }

  std::string_view common = layers.front();
  for (std::string_view layer : layers) {
    if (layer.empty() || layer.front() != '/') return data;
    auto differ = std::mismatch(common.begin(), common.end(), layer.begin(), layer.end());
    common = common.substr(0, static_cast<size_t>(differ.first - common.begin()));
  }
  size_t slash = common.rfind('/');
  if (slash == std::string_view::npos || slash == 0) return data;
  common = common.substr(0, slash);
  // A backslash escapes the next character for overlayfs, but not for chdir.
  if (common.find('\\') != std::string_view::npos) return data;

  std::string compact = data.substr(0, start);
  for (size_t i = 0; i < layers.size(); i++) {
    if (i > 0) compact += ':';
    compact += layers[i].substr(common.size() + 1);
  }
  compact += data.substr(end);
  *base = common;
  return compact;
}

Result<> mount(const Spec& spec, const std::string& target) {
  for (const std::string& option : spec.options)
    if (option.starts_with("uidmap=") || option.starts_with("gidmap=")) {
      auto mapped = mount_mapped(spec, target);
      if (!mapped) return wrap(quoted("mount " + spec.type + " on", target), mapped.error());
      return {};
    }
  Parsed parsed = parse(spec);
  std::string source = spec.source;
  Fd loop;  // keeps an autoclear loop device attached until the mount holds it
  if (parsed.loop) {
    DAVIT_ASSIGN(loop_device::Attached attached,
                 loop_device::attach(spec.source, (parsed.flags & MS_RDONLY) != 0));
    source = std::move(attached.path);
    loop = std::move(attached.fd);
  }
  DAVIT_TRY(mount_parsed(spec, source, parsed, target));
  Result<> finished = finish(target, parsed);
  if (!finished && (parsed.flags & MS_REMOUNT) == 0) {
    umount2(target.c_str(), UMOUNT_NOFOLLOW | MNT_DETACH);
  }
  return finished;
}

Result<> mount_all(const std::vector<Spec>& specs, const std::string& target) {
  size_t done = 0;
  for (const Spec& spec : specs) {
    if (Result<> mounted = mount(spec, target); !mounted) {
      while (done-- > 0) umount2(target.c_str(), UMOUNT_NOFOLLOW | MNT_DETACH);
      return mounted;
    }
    done++;
  }
  return {};
}

Result<> unmount(const std::string& target, bool detach, int patience_ms) {
  constexpr int kStepMs = 10;
  int flags = UMOUNT_NOFOLLOW | (detach ? MNT_DETACH : 0);
  for (;;) {
    if (umount2(target.c_str(), flags) == 0) return {};
    if (errno != EBUSY || patience_ms <= 0) return fail_errno(quoted("unmount", target));
    timespec step{.tv_sec = 0, .tv_nsec = kStepMs * 1'000'000L};
    nanosleep(&step, nullptr);
    patience_ms -= kStepMs;
  }
}

Result<> unmount_all(const std::string& target, bool detach, int patience_ms) {
  for (;;) {
    Result<> result = unmount(target, detach, patience_ms);
    if (result) continue;
    if (result.error().code == EINVAL || result.error().code == ENOENT) return {};
    return result;
  }
}

}  // namespace davit::mount_spec
