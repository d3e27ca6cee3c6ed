// The creator's side of a start: cloning, answering what the new process asks, telling how it
// ended.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "native/kernel/message.h"
#include "native/kernel/process.h"
#include "native/oci/hooks.h"
#include "native/oci/init.h"
#include "native/oci/spec.h"

namespace davit::oci {

// A process between its clone and its program. Dies with this object unless it was released.
class Starting {
 public:
  Starting() = default;
  Starting(kernel::Child child, Fd socket);
  Starting(Starting&&) = default;
  Starting& operator=(Starting&&) = default;
  ~Starting();

  pid_t pid() const { return child_.pid; }
  kernel::Child release();
  // What came with its messages so far.
  Fd console;
  std::vector<std::string> warnings;
  Fd socket;

  // Answers until kReady (true) or until the program runs (false). The failure is the process's
  // own, ETIMEDOUT, or that it has died.
  struct Answers {
    const Spec* spec = nullptr;  // for kMapIds
    const HookState* hook_state = nullptr;
    const SeccompFilter* seccomp = nullptr;
    const char* status = "creating";  // for the seccomp agent
  };
  Result<bool> serve(const Answers& answers, int timeout_ms);

 private:
  Result<> answer(kernel::Message message, const Answers& answers);
  Error death();
  kernel::Child child_;
};

// Clones init, by way of a helper process where namespaces demand it.
Result<Starting> clone_init(InitPlan& plan, Fd socket, int clone_target, int timeout_ms);

// Clones with the new process's pid namespace being `pid_namespace` (-1: as usual) without leaving
// the own one; nobody may trace the new process from its first instruction on.
Result<kernel::Child> clone_into(int pid_namespace, int pid_namespace_flags, std::uint64_t flags,
                                 int cgroup);

}  // namespace davit::oci
