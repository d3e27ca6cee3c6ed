// The cgroup that a daemon may want its shims in (shim_cgroup of the runtime's options).
#pragma once

#include <string>

namespace davit::shim {

// Moves this process into the cgroup of that path in every hierarchy that has it. Best effort: a
// shim in another cgroup works as well.
void join_shim_cgroup(const std::string& path);

}  // namespace davit::shim
