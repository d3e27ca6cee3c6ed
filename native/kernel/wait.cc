#include "native/kernel/wait.h"

namespace davit::kernel {
namespace {

Waiter chosen = nullptr;

}  // namespace

int wait_for(pollfd* items, nfds_t count, int timeout_ms) {
  return chosen != nullptr ? chosen(items, count, timeout_ms) : ::poll(items, count, timeout_ms);
}

void set_waiter(Waiter waiter) {
  chosen = waiter;
}

}  // namespace davit::kernel
