#include "native/kernel/ask.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "native/kernel/fd.h"

namespace davit::ask {

namespace {

constexpr size_t kHeader = 10;
constexpr size_t kMaxPayload = 4 << 20;
constexpr int64_t kCancelPollMs = 100;

struct Pending {
  Fd socket;
  std::string received;
};

int64_t now_ms() {
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return int64_t{time.tv_sec} * 1000 + time.tv_nsec / 1'000'000;
}

// 0, or the errno. A frame is far smaller than any socket's buffer: it goes at once or never.
int send_question(const Question& question, Fd& socket) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (question.path.size() >= sizeof(address.sun_path)) return ENAMETOOLONG;
  std::memcpy(address.sun_path, question.path.data(), question.path.size());
  auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + question.path.size());
  if (question.path.starts_with('@')) address.sun_path[0] = '\0';
  socket.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket) return errno;
  if (::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), length) != 0) {
    return errno;
  }
  ssize_t sent = ::send(socket.get(), question.frame.data(), question.frame.size(), MSG_NOSIGNAL);
  if (sent < 0) return errno;
  return static_cast<size_t>(sent) == question.frame.size() ? 0 : EMSGSIZE;
}

// True when it is settled: with a whole frame in `answer`, or an error.
bool take(Pending& pending, Answer& answer) {
  std::array<char, 4096> buffer;
  for (;;) {
    ssize_t count = ::recv(pending.socket.get(), buffer.data(), buffer.size(), 0);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) return false;
    if (count <= 0) {
      answer.error = count == 0 ? ECONNRESET : errno;
      return true;
    }
    pending.received.append(buffer.data(), static_cast<size_t>(count));
    if (pending.received.size() < kHeader) continue;
    size_t length = 0;
    for (int i = 0; i < 4; i++) length = length << 8 | static_cast<uint8_t>(pending.received[i]);
    if (length > kMaxPayload) answer.error = EMSGSIZE;
    if (pending.received.size() < kHeader + length && answer.error == 0) continue;
    if (answer.error == 0) answer.payload = pending.received.substr(kHeader, length);
    return true;
  }
}

}  // namespace

std::vector<Answer> all(const std::vector<Question>& questions, int timeout_ms,
                        const std::function<bool()>& cancelled) {
  std::vector<Answer> answers(questions.size());
  std::vector<Pending> pending(questions.size());
  int64_t deadline = now_ms() + timeout_ms;
  Fd poll(::epoll_create1(EPOLL_CLOEXEC));
  size_t open = 0;
  for (size_t i = 0; i < questions.size(); i++) {
    answers[i].error = poll ? send_question(questions[i], pending[i].socket) : EMFILE;
    if (answers[i].error == 0) {
      epoll_event event{.events = EPOLLIN, .data = {.u64 = i}};
      if (::epoll_ctl(poll.get(), EPOLL_CTL_ADD, pending[i].socket.get(), &event) != 0) {
        answers[i].error = errno;
      }
    }
    if (answers[i].error == 0) {
      open++;
    } else {
      pending[i].socket.reset();
    }
  }
  int reason = ETIMEDOUT;
  while (open > 0) {
    int64_t left = deadline - now_ms();
    if (cancelled()) reason = ECANCELED;
    if (left <= 0 || reason == ECANCELED) break;
    std::array<epoll_event, 64> events;
    int count = ::epoll_wait(poll.get(), events.data(), events.size(),
                             static_cast<int>(std::min(left, kCancelPollMs)));
    for (int k = 0; k < count; k++) {
      size_t i = events[static_cast<size_t>(k)].data.u64;
      if (!take(pending[i], answers[i])) continue;
      pending[i].socket.reset();
      open--;
    }
  }
  for (size_t i = 0; i < questions.size(); i++) {
    if (pending[i].socket) answers[i].error = reason;
  }
  return answers;
}

}  // namespace davit::ask
