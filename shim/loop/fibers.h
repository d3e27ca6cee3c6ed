// Work that waits for what others do (a hook, a container's first process, an OCI runtime), written
// in one piece: it runs on a stack of its own, and while it waits the loop goes on.
//
// There is one thread, and work is left only where it waits through kernel::wait_for. What it uses
// must live until `done`; others may look at it meanwhile but not take it away. No two may wait for
// one descriptor.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "shim/loop/loop.h"

namespace davit::shim {

class Fiber;

class Fibers {
 public:
  using Task = std::function<void()>;

  // `after_each` is called by the loop some time after each piece of work has ended.
  Fibers(Loop& loop, Task after_each);
  ~Fibers();
  Fibers(const Fibers&) = delete;
  Fibers& operator=(const Fibers&) = delete;

  // Runs `work` until it first waits, and on with it as the loop finds what it waits for. `done` is
  // called on the loop's stack when it has ended, which may be before start returns. Work of one
  // `owner` can be canceled together.
  void start(const void* owner, Task work, Task done);
  // Every wait of this owner's work fails with ECANCELED from now on: it has ended on return.
  void cancel(const void* owner);
  bool busy() const { return !fibers_.empty(); }
  bool busy(const void* owner) const;

 private:
  friend class Fiber;
  void ended(Fiber* fiber);

  Loop& loop_;
  Task after_each_;
  std::vector<std::unique_ptr<Fiber>> fibers_;
};

}  // namespace davit::shim
