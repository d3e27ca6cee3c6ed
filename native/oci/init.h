// The two kinds of child: a container's init, and a process that joins it. Both run in a clone of
// the caller and end in execve or _exit.
#pragma once

#include <string>
#include <vector>

#include "native/kernel/fd.h"
#include "native/oci/container.h"
#include "native/oci/rootfs.h"
#include "native/oci/spec.h"

namespace davit::oci {

struct JoinedNamespace {
  int flag = 0;
  Fd fd;
};
// Opens the namespaces that the spec names by path; EINVAL for a file of another kind.
Result<std::vector<JoinedNamespace>> open_namespaces(const Spec& spec);

struct InitContext {
  const Spec& spec;
  const CreateOptions& options;
  const Cgroup& cgroup;
  const std::string& rootfs;  // absolute
  const std::vector<JoinedNamespace>& joined;
  int channel;
};
[[noreturn]] void run_init(const InitContext& context);

struct ExecContext {
  const Spec& spec;            // of the container
  const ProcessSpec& process;  // to run
  const Stdio& stdio;
  int init;                    // pidfd
  int root;                    // the container's root, for one without a mount namespace; else -1
  const std::string& keyring;  // the session keyring to join; empty for none
  int channel;
};
[[noreturn]] void run_exec(const ExecContext& context);

}  // namespace davit::oci
