// state.json: what another process needs to find, kill and clean up a container.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "native/kernel/fd.h"
#include "native/kernel/result.h"
#include "native/oci/rdt.h"

namespace davit::oci {

// Beside state.json where that is not in the bundle: the config.json of the time of create.
inline constexpr char kKeptSpec[] = "spec.json";

struct StateFile {
  std::string id, bundle;
  pid_t pid = -1;
  std::uint64_t start_time = 0;      // of pid, which alone may be another's by now
  std::vector<std::string> cgroups;  // Cgroup::paths()
  bool no_new_keyring = false;
  std::string systemd_unit = {};  // Cgroup::unit()
  Rdt rdt = {};
};

Result<> write_state(const std::string& dir, const StateFile& state);
Result<StateFile> read_state(const std::string& dir);  // ENOENT when there is none
Result<> remove_state(const std::string& dir);         // also what is kept beside it

// The process, unless it has ended: ESRCH. A pid that is another's by now counts as ended.
Result<Fd> open_init(const StateFile& state);

}  // namespace davit::oci
