// Thread: a thread that somebody owns; refused creation is a Result, not a terminated process.
#pragma once

#include <pthread.h>
#include <signal.h>

#include <functional>
#include <memory>
#include <utility>

#include "native/kernel/result.h"

namespace davit::layer {

class Thread {
 public:
  Thread() = default;
  Thread(Thread&& other) noexcept
      : id_(other.id_), running_(std::exchange(other.running_, false)) {}
  Thread& operator=(Thread&& other) noexcept {
    join();
    id_ = other.id_;
    running_ = std::exchange(other.running_, false);
    return *this;
  }
  ~Thread() { join(); }

  static Result<Thread> start(std::function<void()> body) {
    auto owned = std::make_unique<std::function<void()>>(std::move(body));
    Thread thread;
    // Signals belong to the threads that were there before.
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int code = pthread_create(&thread.id_, nullptr, enter, owned.get());
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (code != 0) return fail(code, "start thread");
    thread.running_ = true;
    static_cast<void>(owned.release());
    return thread;
  }

  void join() {
    if (std::exchange(running_, false)) pthread_join(id_, nullptr);
  }

 private:
  static void* enter(void* argument) {
    std::unique_ptr<std::function<void()>> body(static_cast<std::function<void()>*>(argument));
    (*body)();
    return nullptr;
  }

  pthread_t id_{};
  bool running_ = false;
};

}  // namespace davit::layer
