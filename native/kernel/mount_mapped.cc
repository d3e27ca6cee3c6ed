// Mounts with the options uidmap= and gidmap=, which containerd's snapshotters give for a container
// in a user namespace.
#include <fcntl.h>
#include <sys/mount.h>

#include "native/kernel/file.h"
#include "native/kernel/idmap.h"
#include "native/kernel/mount.h"
#include "native/kernel/mount_spec.h"

namespace davit::mount_spec {
namespace {

struct Mapped {
  Spec rest;  // without the maps
  kernel::IdMaps maps;
};

Result<Mapped> take_maps(const Spec& spec) {
  Mapped out{{spec.type, spec.source, {}}, {}};
  for (const std::string& option : spec.options) {
    if (option.starts_with("uidmap=")) {
      DAVIT_ASSIGN(kernel::IdMap map, kernel::parse_id_map(std::string_view(option).substr(7)));
      out.maps.uids = kernel::id_map_text(map);
    } else if (option.starts_with("gidmap=")) {
      DAVIT_ASSIGN(kernel::IdMap map, kernel::parse_id_map(std::string_view(option).substr(7)));
      out.maps.gids = kernel::id_map_text(map);
    } else {
      out.rest.options.push_back(option);
    }
  }
  if (out.maps.uids.empty() || out.maps.gids.empty())
    return fail(EINVAL, "mount options uidmap and gidmap: each needs the other");
  return out;
}

// "a:b\\:c" as {"a", "b:c"}: overlayfs escapes with a backslash.
std::vector<std::string> split_layers(std::string_view text) {
  std::vector<std::string> out(1);
  for (std::size_t i = 0; i < text.size(); i++) {
    if (text[i] == ':')
      out.emplace_back();
    else
      out.back() += text[i] == '\\' && i + 1 < text.size() ? text[++i] : text[i];
  }
  return out;
}

// The lower layers are shown with mapped ids. The upper directory holds ids as the host sees them.
Result<Fd> make_overlay(const std::string& data, std::uint64_t attributes, int userns) {
  std::vector<kernel::FsOption> options;
  std::vector<kernel::FsDescriptor> layers;
  for (std::string_view rest = data; !rest.empty();) {
    std::string one(rest.substr(0, rest.find(',')));
    rest.remove_prefix(std::min(rest.size(), one.size() + 1));
    std::size_t equals = std::min(one.find('='), one.size());
    std::string key = one.substr(0, equals), value = one.substr(std::min(one.size(), equals + 1));
    if (key != "lowerdir") {
      options.emplace_back(std::move(key), std::move(value));
      continue;
    }
    for (const std::string& path : split_layers(value)) {
      DAVIT_ASSIGN(Fd layer, kernel::clone_tree(AT_FDCWD, path.c_str(), false));
      if (auto mapped = kernel::map_ids(layer.get(), userns, false); !mapped)
        return wrap("layer \"" + path + '"', std::move(mapped).error());
      layers.emplace_back("lowerdir+", std::move(layer));
    }
  }
  return kernel::make_filesystem("overlay", options, attributes, layers);
}

}  // namespace

Result<> mount_mapped(const Spec& spec, const std::string& target) {
  constexpr unsigned long kAttributes = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;
  static_assert(kAttributes ==
                (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC));
  DAVIT_ASSIGN(Mapped mapped, take_maps(spec));
  Parsed parsed = parse(mapped.rest);
  DAVIT_ASSIGN(Fd userns, kernel::make_user_namespace(mapped.maps));
  std::uint64_t attributes = parsed.flags & kAttributes;
  Fd tree;
  if (spec.type == "overlay") {
    DAVIT_ASSIGN(tree, make_overlay(parsed.data, attributes, userns.get()));
  } else if ((parsed.flags & MS_BIND) != 0) {
    bool recursive = (parsed.flags & MS_REC) != 0;
    DAVIT_ASSIGN(tree, kernel::clone_tree(AT_FDCWD, spec.source.c_str(), recursive));
    DAVIT_TRY(kernel::map_ids(tree.get(), userns.get(), recursive));
    DAVIT_TRY(kernel::set_attributes(tree.get(), {.set = attributes}, false));
  } else {
    return fail(EINVAL, "mount options uidmap and gidmap: only for an overlay or a bind mount");
  }
  for (unsigned long propagation : parsed.propagation)
    DAVIT_TRY(kernel::set_attributes(tree.get(), {.propagation = propagation & ~MS_REC},
                                     (propagation & MS_REC) != 0));
  DAVIT_ASSIGN(Fd place, kernel::open_at(AT_FDCWD, target.c_str(), O_PATH | O_DIRECTORY));
  return kernel::attach(tree.get(), place.get());
}

}  // namespace davit::mount_spec
