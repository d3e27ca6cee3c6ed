#include "native/oci/pid_namespace.h"

#include <fcntl.h>
#include <sched.h>

#include "native/kernel/file.h"
#include "native/kernel/process.h"

namespace davit::oci {

Result<PidNamespaceOfChildren> PidNamespaceOfChildren::enter(
    const std::vector<JoinedNamespace>& joined) {
  for (const JoinedNamespace& one : joined)
    if (one.flag == CLONE_NEWPID) return enter(one.fd.get());
  return PidNamespaceOfChildren();
}

Result<PidNamespaceOfChildren> PidNamespaceOfChildren::enter(int fd) {
  PidNamespaceOfChildren entered;
  if (fd < 0) return entered;
  DAVIT_ASSIGN(Fd own, kernel::open_at(AT_FDCWD, "/proc/self/ns/pid", O_RDONLY));
  DAVIT_TRY(kernel::join_namespaces(fd, CLONE_NEWPID));
  entered.own_ = std::move(own);
  return entered;
}

PidNamespaceOfChildren::~PidNamespaceOfChildren() {
  if (own_) (void)kernel::join_namespaces(own_.get(), CLONE_NEWPID);
}

}  // namespace davit::oci
