// A new time namespace: its offsets can be set only before the first process is in it, so the
// caller makes it that of its children, sets them, and takes its own back after the clone.
#pragma once

#include "native/kernel/fd.h"
#include "native/kernel/result.h"
#include "native/oci/spec.h"

namespace davit::oci {

class TimeNamespaceOfChildren {
 public:
  // Without a new time namespace in the spec nothing is changed.
  static Result<TimeNamespaceOfChildren> enter(const Spec& spec);

  TimeNamespaceOfChildren() = default;
  TimeNamespaceOfChildren(TimeNamespaceOfChildren&&) = default;
  TimeNamespaceOfChildren& operator=(TimeNamespaceOfChildren&&) = default;
  ~TimeNamespaceOfChildren();

 private:
  Fd own_;
};

}  // namespace davit::oci
