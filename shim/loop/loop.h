// The shim's event loop: one thread, epoll, timers only while somebody waits for one.
//
// A Watch is the registration of one fd; it ends when the Watch is destroyed, also in the middle of
// a batch of events (later events of the batch for it are dropped) and also from inside its own
// callback. The fd itself belongs to somebody else and must outlive the Watch's registration.
// With no timer set the loop sleeps in epoll_wait without end: an idle shim has no wake-ups.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "native/kernel/fd.h"
#include "native/kernel/result.h"

namespace davit::shim {

class Loop;

class Watch {
 public:
  using Callback = std::function<void(uint32_t events)>;

  Watch() = default;
  ~Watch() { stop(); }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  // Calls callback whenever fd has one of `events` (EPOLLIN ...) or an error or hang-up, which
  // epoll always reports. start on a running Watch replaces its registration.
  Result<> start(Loop& loop, int fd, uint32_t events, Callback callback);
  // Changes the events waited for. 0 takes the fd out of epoll (no error events either).
  void want(uint32_t events);
  void stop();
  bool running() const { return entry_ != nullptr; }

 private:
  struct Entry;
  friend class Loop;
  Entry* entry_ = nullptr;  // owned by the loop, which frees it after the current batch
};

class Loop {
 public:
  using Task = std::function<void()>;

  Loop() = default;
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  Result<> open();
  // Runs until quit().
  Result<> run();
  void quit() { quit_ = true; }

  // Calls task once, `milliseconds` from now. The id cancels it; 0 is never an id.
  uint64_t after(int64_t milliseconds, Task task);
  void cancel(uint64_t timer);
  // Calls task when the current batch of events is done: for things that end themselves.
  void defer(Task task) { deferred_.push_back(std::move(task)); }

 private:
  friend class Watch;
  struct Timer {
    uint64_t id;
    int64_t due;
    Task task;
  };
  int wait_time() const;
  void run_timers();
  void run_deferred();

  Fd epoll_;
  bool quit_ = false;
  uint64_t next_timer_ = 1;
  std::vector<Timer> timers_;
  std::vector<Task> deferred_;
  std::vector<Watch::Entry*> dead_;
};

int64_t monotonic_ms();

}  // namespace davit::shim
