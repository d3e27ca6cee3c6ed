#include "shim/stdio/pump.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <utility>

namespace davit::shim {

namespace {

constexpr size_t kSpliceSize = 1 << 16;
constexpr size_t kCopySize = 4096;
constexpr int kMovesPerTurn = 8;

}  // namespace

Result<> Pump::start(Loop& loop, int from, int to, Mode mode, std::function<void()> ended) {
  loop_ = &loop;
  from_ = from;
  to_ = to;
  mode_ = mode;
  ended_ = std::move(ended);
  DAVIT_TRY(source_.start(loop, from, EPOLLIN, [this](uint32_t) { turn(); }));
  return target_.start(loop, to, 0, [this](uint32_t) { turn(); });
}

void Pump::stop() {
  source_.stop();
  target_.stop();
}

Result<> Pump::replace_source(int from) {
  from_ = from;
  return source_.start(*loop_, from, blocked_ ? 0u : EPOLLIN, [this](uint32_t) { turn(); });
}

Result<> Pump::replace_target(int to) {
  to_ = to;
  return target_.start(*loop_, to, blocked_ ? EPOLLOUT : 0u, [this](uint32_t) { turn(); });
}

void Pump::turn() {
  Step step = Step::kMoved;
  for (int i = 0; i < kMovesPerTurn && step == Step::kMoved; i++) {
    step = mode_ == Mode::kSplice ? move() : copy();
  }
  wait(step);
}

Pump::Step Pump::move() {
  const ssize_t count = ::splice(from_, nullptr, to_, nullptr, kSpliceSize, SPLICE_F_NONBLOCK);
  if (count > 0) return Step::kMoved;
  if (count == 0) return Step::kEnded;
  if (errno == EINTR) return Step::kMoved;
  if (errno != EAGAIN) return Step::kEnded;
  pollfd target{.fd = to_, .events = POLLOUT, .revents = 0};
  return ::poll(&target, 1, 0) == 0 ? Step::kTargetFull : Step::kSourceEmpty;
}

Pump::Step Pump::copy() {
  if (!pending_.empty()) return flush();
  char buffer[kCopySize];
  const ssize_t count = ::read(from_, buffer, sizeof buffer);
  if (count == 0) return Step::kEnded;
  // EIO: the last process has closed its side of the terminal.
  if (count < 0) return errno == EAGAIN || errno == EINTR ? Step::kSourceEmpty : Step::kEnded;
  pending_.assign(buffer, static_cast<size_t>(count));
  return flush();
}

Pump::Step Pump::flush() {
  const ssize_t count = ::write(to_, pending_.data(), pending_.size());
  if (count < 0) {
    if (errno == EINTR) return Step::kMoved;
    return errno == EAGAIN ? Step::kTargetFull : Step::kEnded;
  }
  if (static_cast<size_t>(count) < pending_.size()) {
    pending_.erase(0, static_cast<size_t>(count));
    return Step::kTargetFull;
  }
  pending_.clear();
  return Step::kMoved;
}

void Pump::wait(Step step) {
  blocked_ = step == Step::kTargetFull;
  if (step == Step::kEnded) {
    pending_ = {};
    stop();
    if (auto ended = std::exchange(ended_, nullptr)) ended();
    return;
  }
  source_.want(blocked_ ? 0u : EPOLLIN);
  target_.want(blocked_ ? EPOLLOUT : 0u);
}

}  // namespace davit::shim
