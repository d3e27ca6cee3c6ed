#include "shim/loop/loop.h"

#include <sys/epoll.h>
#include <time.h>

#include <algorithm>
#include <climits>

namespace davit::shim {

struct Watch::Entry {
  Loop* loop;
  int fd;
  uint32_t events;  // what epoll watches; 0 = not in epoll
  bool dead;
  Callback callback;
};

int64_t monotonic_ms() {
  timespec ts{};
  ::clock_gettime(CLOCK_MONOTONIC, &ts);
  return int64_t{ts.tv_sec} * 1000 + ts.tv_nsec / 1000000;
}

Result<> Watch::start(Loop& loop, int fd, uint32_t events, Callback callback) {
  stop();
  auto* entry = new Entry{&loop, fd, events, false, std::move(callback)};
  epoll_event event{.events = events, .data = {.ptr = entry}};
  if (events != 0 && ::epoll_ctl(loop.epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
    delete entry;
    return fail_errno("epoll: add descriptor");
  }
  entry_ = entry;
  return {};
}

void Watch::want(uint32_t events) {
  if (entry_ == nullptr || entry_->events == events) return;
  epoll_event event{.events = events, .data = {.ptr = entry_}};
  int op = EPOLL_CTL_MOD;
  if (events == 0) op = EPOLL_CTL_DEL;
  if (entry_->events == 0) op = EPOLL_CTL_ADD;
  if (::epoll_ctl(entry_->loop->epoll_.get(), op, entry_->fd, &event) == 0) {
    entry_->events = events;
  }
}

void Watch::stop() {
  if (entry_ == nullptr) return;
  want(0);
  entry_->dead = true;
  entry_->loop->dead_.push_back(entry_);
  entry_ = nullptr;
}

Loop::~Loop() {
  deferred_.clear();
  for (auto* entry : dead_) delete entry;
}

Result<> Loop::open() {
  epoll_.reset(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll_) return fail_errno("epoll_create1");
  return {};
}

Result<> Loop::run() {
  constexpr int kBatch = 16;
  epoll_event batch[kBatch];
  for (quit_ = false; !quit_;) {
    const int count = ::epoll_wait(epoll_.get(), batch, kBatch, wait_time());
    if (count < 0 && errno != EINTR) return fail_errno("epoll_wait");
    for (int i = 0; i < count; i++) {
      auto* entry = static_cast<Watch::Entry*>(batch[i].data.ptr);
      if (!entry->dead && entry->events != 0) entry->callback(batch[i].events);
    }
    run_timers();
    run_deferred();
    for (auto* entry : dead_) delete entry;
    dead_.clear();
  }
  return {};
}

uint64_t Loop::after(int64_t milliseconds, Task task) {
  const uint64_t id = next_timer_++;
  timers_.push_back({id, monotonic_ms() + milliseconds, std::move(task)});
  return id;
}

void Loop::cancel(uint64_t timer) {
  std::erase_if(timers_, [timer](const Timer& t) { return t.id == timer; });
}

int Loop::wait_time() const {
  if (!deferred_.empty()) return 0;
  if (timers_.empty()) return -1;
  const auto first = std::ranges::min_element(timers_, {}, &Timer::due);
  return static_cast<int>(std::clamp<int64_t>(first->due - monotonic_ms(), 0, INT_MAX));
}

void Loop::run_timers() {
  if (timers_.empty()) return;
  const int64_t now = monotonic_ms();
  // One at a time: a task may set and cancel timers.
  for (;;) {
    const auto due = std::ranges::find_if(timers_, [now](const Timer& t) { return t.due <= now; });
    if (due == timers_.end()) return;
    Task task = std::move(due->task);
    timers_.erase(due);
    task();
  }
}

void Loop::run_deferred() {
  std::vector<Task> tasks;
  tasks.swap(deferred_);
  for (auto& task : tasks) task();
}

}  // namespace davit::shim
