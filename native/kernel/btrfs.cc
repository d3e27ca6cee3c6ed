#include "native/kernel/btrfs.h"

#include <fcntl.h>
#include <linux/btrfs.h>
#include <sys/ioctl.h>

#include <cstdint>

#include "native/kernel/fd.h"

namespace davit::btrfs {
namespace {

// The directory that `path` is in, open, and its name there.
struct Place {
  Fd parent;
  std::string name;
};

Result<Place> place_of(const std::string& path) {
  size_t slash = path.rfind('/');
  if (slash == std::string::npos || slash + 1 == path.size())
    return fail(EINVAL, "\"" + path + "\" is no path of a subvolume");
  std::string above = slash == 0 ? "/" : path.substr(0, slash);
  Place place{Fd(open(above.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)), path.substr(slash + 1)};
  if (!place.parent) return fail_errno("open directory \"" + above + "\"");
  return place;
}

template <size_t N>
Result<> set_name(char (&field)[N], const std::string& name) {
  if (name.size() >= N) return fail(ENAMETOOLONG, "subvolume \"" + name + "\"");
  name.copy(field, name.size());
  return {};
}

}  // namespace

Result<> create(const std::string& path) {
  DAVIT_ASSIGN(Place place, place_of(path));
  btrfs_ioctl_vol_args_v2 args{};
  DAVIT_TRY(set_name(args.name, place.name));
  if (ioctl(place.parent.get(), BTRFS_IOC_SUBVOL_CREATE_V2, &args) < 0)
    return fail_errno("create subvolume \"" + path + "\"");
  return {};
}

Result<> snapshot(const std::string& from, const std::string& to, bool read_only) {
  DAVIT_ASSIGN(Place place, place_of(to));
  Fd source(open(from.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!source) return fail_errno("open subvolume \"" + from + "\"");
  btrfs_ioctl_vol_args_v2 args{};
  DAVIT_TRY(set_name(args.name, place.name));
  args.fd = source.get();
  args.flags = read_only ? BTRFS_SUBVOL_RDONLY : 0;
  if (ioctl(place.parent.get(), BTRFS_IOC_SNAP_CREATE_V2, &args) < 0)
    return fail_errno("snapshot subvolume \"" + from + "\" to \"" + to + "\"");
  return {};
}

Result<> remove(const std::string& path) {
  DAVIT_ASSIGN(Place place, place_of(path));
  btrfs_ioctl_vol_args args{};
  DAVIT_TRY(set_name(args.name, place.name));
  if (ioctl(place.parent.get(), BTRFS_IOC_SNAP_DESTROY, &args) < 0)
    return fail_errno("remove subvolume \"" + path + "\"");
  return {};
}

}  // namespace davit::btrfs
