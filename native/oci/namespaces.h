// The namespaces of a container: which are made by clone, which are joined and when.
#pragma once

#include <utility>
#include <vector>

#include "native/kernel/fd.h"
#include "native/kernel/result.h"
#include "native/oci/spec.h"

namespace davit::oci {

struct Namespaces {
  int fresh = 0;                           // CLONE_NEW*: neither cgroup nor time
  int late = 0;                            // of these, what init makes while its cgroups are made
  bool fresh_cgroup = false;               // unshared once the cgroup is joined
  bool fresh_time = false;                 // unshared, as its clocks are set before it is entered
  std::vector<std::pair<int, Fd>> joined;  // by path
  bool user = false;                       // fresh or joined
  bool shares_mounts = false;              // with the creator: nothing may be mounted in it
  // With a user namespace and anything joined, the order (what is the host's first, then user, then
  // the rest) needs a process that joins before init is cloned.
  bool needs_helper = false;
  int fd_of(int flag) const;  // -1 when it is not joined
};
Result<Namespaces> open_namespaces(const Spec& spec);

// Joins every joined namespace but those in `except`; what only the joined user namespace allows
// comes after it.
Result<> join_all(const Namespaces& namespaces, int except);

// A new time namespace with the spec's clocks, for the calling process itself.
Result<> enter_time_namespace(const Spec& spec, int proc);

// Writes the maps of `pid`, which waits in its new user namespace.
Result<> write_id_maps(const Spec& spec, pid_t pid, int proc);

// Root in the user namespace that was just entered.
Result<> become_namespace_root();

// The loopback interface of a new network namespace, which is born down.
Result<> raise_loopback();

// A session keyring of the container's own; quietly nothing on a kernel without keyrings.
Result<> make_session_keyring(const std::string& id);

}  // namespace davit::oci
