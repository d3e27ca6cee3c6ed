#include "native/oci/id_maps.h"

#include <fcntl.h>

#include "native/kernel/file.h"

namespace davit::oci {
namespace {

Result<> write_map(pid_t pid, const char* name, const std::vector<IdMapping>& mappings) {
  std::string text;
  for (const IdMapping& one : mappings)
    text += std::to_string(one.container) + " " + std::to_string(one.host) + " " +
            std::to_string(one.size) + "\n";
  std::string path = "/proc/" + std::to_string(pid) + "/" + name;
  return kernel::write_value(AT_FDCWD, path.c_str(), text);
}

}  // namespace

Result<> write_id_maps(pid_t pid, const std::vector<IdMapping>& uids,
                       const std::vector<IdMapping>& gids) {
  DAVIT_TRY(write_map(pid, "uid_map", uids));
  return write_map(pid, "gid_map", gids);
}

}  // namespace davit::oci
