// Mounts that show their files as other users' (mount_setattr(2), "ID-mapped mounts").
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "native/kernel/fd.h"
#include "native/kernel/result.h"

namespace davit::kernel {

// Maps as the kernel's uid_map holds them: "inside outside size" on each line.
struct IdMaps {
  std::string uids, gids;
};

// A user namespace that nobody is in, to be the measure of a mount: a file that belongs to `inside`
// on its file system is shown as `outside`'s.
Result<Fd> make_user_namespace(const IdMaps& maps);

struct IdRange {
  std::uint32_t inside = 0, outside = 0, size = 0;
};
using IdMap = std::vector<IdRange>;

// "0:100000:65536", as mount options have it, several with commas between. EINVAL for another form.
Result<IdMap> parse_id_map(std::string_view option);

// As IdMaps hold it.
std::string id_map_text(const IdMap& map);

// An id as the other side of the map sees it; one that no range has stays as it is.
std::uint32_t id_inside(const IdMap& map, std::uint32_t outside);
std::uint32_t id_outside(const IdMap& map, std::uint32_t inside);

// Shows the detached mount's files by `userns`.
Result<> map_ids(int mount, int userns, bool recursive);

}  // namespace davit::kernel
