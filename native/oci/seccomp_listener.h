// SCMP_ACT_NOTIFY: the listener of a process's filter goes to the agent at listenerPath.
#pragma once

#include <sys/types.h>

#include "native/kernel/result.h"
#include "native/oci/hooks.h"
#include "native/oci/seccomp.h"

namespace davit::oci {

// In the process, whose filter is loaded: has the creator hand the listener over, and waits until
// it has. Uses read and write only: everything else may have to wait for the agent already.
Result<> offer_listener(int socket, int listener);

// In the creator: takes descriptor `number` of the process and sends it with the container process
// state.
struct ListenerOwner {
  int pidfd = -1;
  pid_t pid = -1;
};
Result<> hand_over_listener(const ListenerOwner& owner, const std::string& number,
                            const SeccompFilter& filter, const HookState& state,
                            const char* status);

}  // namespace davit::oci
