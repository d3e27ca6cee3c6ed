// linux.intelRdt: a container's share of the last-level cache and of the memory's bandwidth, by
// groups of the resctrl file system (the kernel's Documentation/filesystems/resctrl.rst).
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "native/kernel/result.h"
#include "native/oci/json.h"

namespace davit::oci {

struct RdtSpec {
  std::string clos_id, l3_cache, mem_bandwidth;
  std::vector<std::string> schemata;
  bool monitoring = false;
};

// Where a container is; empty without. Only a group that is named after it goes with it: one that
// the config names is other people's, too.
struct Rdt {
  std::string group, monitor;  // directories
  bool owned = false;
};

Result<RdtSpec> parse_rdt(const json::Value& value, const json::At& at);

// Makes or finds the group and writes its schemata. ENOTSUP where no resctrl is mounted, ENOENT for
// a group that is to be there and is not, EEXIST for one that has other schemata or another owner.
Result<Rdt> make_rdt(const RdtSpec& spec, const std::string& id,
                     const std::string& root = "/sys/fs/resctrl");
Result<> join_rdt(const Rdt& rdt, pid_t pid);
// An empty text leaves what stands.
Result<> update_rdt(const Rdt& rdt, std::string_view l3_cache, std::string_view mem_bandwidth);
Result<> remove_rdt(const Rdt& rdt);

}  // namespace davit::oci
