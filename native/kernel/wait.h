// Waiting for descriptors, or for time to pass, as poll(2) does it.
//
// A program with an event loop puts its own way in poll's place, so that code which waits here can
// be written as if it were alone and the loop goes on. A process made by clone_process waits by
// poll again.
#pragma once

#include <poll.h>

namespace davit::kernel {

// poll's arguments and results; also fails with ECANCELED, when the waiting work is to end.
using Waiter = int (*)(pollfd* items, nfds_t count, int timeout_ms);

int wait_for(pollfd* items, nfds_t count, int timeout_ms);
void set_waiter(Waiter waiter);  // nullptr: poll

inline void sleep_for(int milliseconds) {
  wait_for(nullptr, 0, milliseconds);
}

}  // namespace davit::kernel
