// Processes and their namespaces.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <initializer_list>

#include "native/kernel/fd.h"
#include "native/kernel/result.h"

namespace davit::kernel {

struct Child {
  pid_t pid = -1;  // 0 in the child
  Fd pidfd;        // in the parent
};
// clone3 without shared memory: returns twice, like fork. `cgroup` >= 0: born in that cgroup (v2).
// The child starts with every signal unblocked and at its default.
Result<Child> clone_process(std::uint64_t flags, int cgroup = -1);

Result<Fd> open_pidfd(pid_t pid);
Result<> signal_pidfd(int pidfd, int signal);

// Waits for an own child, reaps it and returns its wait status.
Result<int> reap(pid_t pid);

// `flags` of a process by its pidfd, or one namespace by its descriptor.
Result<> join_namespaces(int fd, int flags);

// Clock ticks since boot at which the process began: with the pid, an identity that is not reused.
Result<std::uint64_t> start_time(pid_t pid);

// Closes every descriptor from `first` on but those in `keep` (-1 is nothing). For a process that
// is about to become another and will not return to the owners of what it closes.
void close_all_from(unsigned first, std::initializer_list<int> keep);

// Marks every descriptor from `first` on close-on-exec.
Result<> close_on_exec_from(unsigned first);

// Writes to the caller's own mm: nobody in a container may trace it or look at its files.
bool set_dumpable(bool on);

}  // namespace davit::kernel
