// A process is born into a pid namespace, never moved: so the caller makes it that of its children
// for the one clone, and then its own again. No intermediate process is needed, and the new process
// is the caller's own child.
#pragma once

#include <vector>

#include "native/kernel/fd.h"
#include "native/kernel/result.h"
#include "native/oci/init.h"

namespace davit::oci {

class PidNamespaceOfChildren {
 public:
  // With no pid namespace in the list, and with -1, nothing is changed.
  static Result<PidNamespaceOfChildren> enter(const std::vector<JoinedNamespace>& joined);
  // `fd`: a pid namespace, or the pidfd of a process in it.
  static Result<PidNamespaceOfChildren> enter(int fd);

  PidNamespaceOfChildren() = default;
  PidNamespaceOfChildren(PidNamespaceOfChildren&&) = default;
  PidNamespaceOfChildren& operator=(PidNamespaceOfChildren&&) = default;
  ~PidNamespaceOfChildren();

 private:
  Fd own_;
};

}  // namespace davit::oci
