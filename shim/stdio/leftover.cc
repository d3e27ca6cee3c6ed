#include "shim/stdio/leftover.h"

#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <string>

#include "shim/log.h"
#include "shim/stdio/fifo.h"

namespace davit::shim {

void Leftover::keep(Loop& loop, Fd fifo) {
  auto writer = fifo::writing_end(fifo);
  fifo.reset();
  if (!writer) return log(writer.error().text());
  writer_ = std::move(*writer);
  if (!needed()) return drop();
  const std::string path = "/proc/self/fd/" + std::to_string(writer_.get());
  opens_.reset(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!opens_ || ::inotify_add_watch(opens_.get(), path.c_str(), IN_OPEN) < 0) {
    // Then until the process is deleted.
    return log(fail_errno("watch stdio FIFO").error().text());
  }
  auto watched = watch_.start(loop, opens_.get(), EPOLLIN, [this](uint32_t) { opened(); });
  if (!watched) return log(watched.error().text());
  opened();  // one may have come before the watch
}

void Leftover::drop() {
  watch_.stop();
  opens_.reset();
  writer_.reset();
}

// Whether there are bytes, and nobody who could read them.
bool Leftover::needed() const {
  int unread = 0;
  return fifo::abandoned(writer_) && ::ioctl(writer_.get(), FIONREAD, &unread) == 0 && unread > 0;
}

void Leftover::opened() {
  char events[512];
  while (::read(opens_.get(), events, sizeof events) > 0) continue;
  // It may have been a writer, or somebody who only looked.
  if (!needed()) drop();
}

}  // namespace davit::shim
