#include "shim/loop/fibers.h"

#include <sys/epoll.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>

#include "native/kernel/wait.h"

namespace davit::shim {

namespace {

// Only what is touched is there. A container's first process begins on a copy of it.
constexpr size_t kStackSize = 1 << 20;
constexpr size_t kGuardSize = 4096;
constexpr nfds_t kMostItems = 4;

Fiber* current = nullptr;  // the one that runs now

}  // namespace

class Fiber {
 public:
  Fiber(Fibers& owner, Loop& loop, const void* tag, Fibers::Task work, Fibers::Task done)
      : tag(tag), done(std::move(done)), owner_(owner), loop_(loop), work_(std::move(work)) {}
  ~Fiber() {
    if (stack_ != MAP_FAILED) ::munmap(stack_, kStackSize);
  }

  // False: there is no memory for a stack.
  bool prepare() {
    stack_ = ::mmap(nullptr, kStackSize, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (stack_ == MAP_FAILED || ::mprotect(stack_, kGuardSize, PROT_NONE) != 0) return false;
    ::getcontext(&own_);
    own_.uc_stack = {.ss_sp = stack_, .ss_flags = 0, .ss_size = kStackSize};
    own_.uc_link = &loops_;
    ::makecontext(&own_, [] { current->run(); }, 0);
    return true;
  }

  // On the loop's stack: goes on with the work until it waits again or has ended.
  void resume() {
    current = this;
    ::swapcontext(&loops_, &own_);
    current = nullptr;
    if (ended_) owner_.ended(this);
  }

  // Without a stack of its own: whatever it waits for, the loop waits too.
  void run_here() {
    run();
    owner_.ended(this);
  }

  void cancel() {
    canceled_ = true;
    resume();
  }

  // On this fiber's stack.
  int wait(pollfd* items, nfds_t count, int timeout_ms) {
    const int64_t until = monotonic_ms() + timeout_ms;
    for (;;) {
      const int ready = ::poll(items, count, 0);
      if (ready != 0) return ready;
      if (timeout_ms >= 0 && monotonic_ms() >= until) return 0;
      if (!canceled_ && !leave_until(items, count, timeout_ms < 0 ? -1 : until - monotonic_ms())) {
        return ::poll(items, count, timeout_ms);
      }
      if (!canceled_) continue;
      errno = ECANCELED;
      return -1;
    }
  }

  const void* const tag;
  Fibers::Task done;

 private:
  void run() {
    work_();
    work_ = nullptr;
    ended_ = true;
  }

  bool leave_until(pollfd* items, nfds_t count, int64_t timeout_ms) {
    Watch watches[kMostItems];
    if (count > kMostItems) return false;
    for (nfds_t i = 0; i < count; i++) {
      if (items[i].fd < 0) continue;
      // poll's bits are epoll's.
      const auto events = static_cast<uint32_t>(items[i].events);
      if (!watches[i].start(loop_, items[i].fd, events, [this](uint32_t) { resume(); })) {
        return false;
      }
    }
    const uint64_t timer = timeout_ms < 0 ? 0 : loop_.after(timeout_ms, [this] { resume(); });
    ::swapcontext(&own_, &loops_);
    if (timer != 0) loop_.cancel(timer);
    return true;
  }

  Fibers& owner_;
  Loop& loop_;
  Fibers::Task work_;
  void* stack_ = MAP_FAILED;
  ucontext_t own_{};
  ucontext_t loops_{};
  bool canceled_ = false;
  bool ended_ = false;
};

namespace {

int wait_in_fiber(pollfd* items, nfds_t count, int timeout_ms) {
  if (current == nullptr) return ::poll(items, count, timeout_ms);
  return current->wait(items, count, timeout_ms);
}

}  // namespace

Fibers::Fibers(Loop& loop, Task after_each) : loop_(loop), after_each_(std::move(after_each)) {
  kernel::set_waiter(wait_in_fiber);
}

Fibers::~Fibers() {
  kernel::set_waiter(nullptr);
}

void Fibers::start(const void* owner, Task work, Task done) {
  auto& fiber = fibers_.emplace_back(
      std::make_unique<Fiber>(*this, loop_, owner, std::move(work), std::move(done)));
  fiber->prepare() ? fiber->resume() : fiber->run_here();
}

void Fibers::ended(Fiber* fiber) {
  const auto found = std::ranges::find(fibers_, fiber, &std::unique_ptr<Fiber>::get);
  const std::unique_ptr<Fiber> last = std::move(*found);
  fibers_.erase(found);
  last->done();
  loop_.defer(after_each_);
}

void Fibers::cancel(const void* owner) {
  for (;;) {
    const auto found = std::ranges::find(fibers_, owner, [](auto& fiber) { return fiber->tag; });
    if (found == fibers_.end()) return;
    (*found)->cancel();
  }
}

bool Fibers::busy(const void* owner) const {
  return std::ranges::any_of(fibers_, [owner](auto& fiber) { return fiber->tag == owner; });
}

}  // namespace davit::shim
