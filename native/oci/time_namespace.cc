#include "native/oci/time_namespace.h"

#include <fcntl.h>
#include <sched.h>

#include "native/kernel/file.h"
#include "native/kernel/process.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

namespace davit::oci {

Result<TimeNamespaceOfChildren> TimeNamespaceOfChildren::enter(const Spec& spec) {
  TimeNamespaceOfChildren entered;
  if (!spec.new_namespace(CLONE_NEWTIME)) {
    if (!spec.time_offsets.empty())
      return fail(EINVAL, "linux.timeOffsets: needs a new time namespace");
    return entered;
  }
  DAVIT_ASSIGN(entered.own_, kernel::open_at(AT_FDCWD, "/proc/self/ns/time", O_RDONLY));
  if (::unshare(CLONE_NEWTIME) != 0) return fail_errno("unshare the time namespace");
  for (const auto& [clock, offset] : spec.time_offsets)
    DAVIT_TRY(kernel::write_value(
        AT_FDCWD, "/proc/self/timens_offsets",
        clock + " " + std::to_string(offset.seconds) + " " + std::to_string(offset.nanoseconds)));
  return entered;
}

TimeNamespaceOfChildren::~TimeNamespaceOfChildren() {
  if (own_) (void)kernel::join_namespaces(own_.get(), CLONE_NEWTIME);
}

}  // namespace davit::oci
