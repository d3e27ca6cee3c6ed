// state.json: what another process needs to find, end and clean up a container.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "native/kernel/result.h"

namespace davit::oci {

struct SavedState {
  std::string id, bundle;
  pid_t pid = 0;
  std::uint64_t start_time = 0;  // clock ticks since boot: with pid, an identity
  bool no_new_keyring = false;
  std::vector<std::string> cgroups;  // Cgroup::paths()
};

Result<> save_state(const std::string& dir, const SavedState& state);
// ENOENT when there is none.
Result<SavedState> load_state(const std::string& dir);
void remove_state(const std::string& dir);

}  // namespace davit::oci
