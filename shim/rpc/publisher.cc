#include "shim/rpc/publisher.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cstring>

#include "native/kernel/pb.h"
#include "shim/fault.h"
#include "shim/log.h"
#include "shim/wire/messages.h"

namespace davit::shim {

namespace {

constexpr int64_t kAnswerTime = 5000;
constexpr int64_t kFirstPause = 50;
constexpr int64_t kLongestPause = 15000;
constexpr char kService[] = "containerd.services.events.ttrpc.v1.Events";

}  // namespace

Publisher::Publisher(Loop& loop, std::string address, std::string namespace_)
    : loop_(loop), address_(std::move(address)), namespace_(std::move(namespace_)) {
  if (address_.starts_with("unix://")) address_.erase(0, 7);
}

void Publisher::publish(const char* topic, const char* type, const std::string& event) {
  if (address_.empty()) return;
  pb::Writer envelope;
  envelope.bytes(1, wire::encode(wire::Timestamp::now()));
  envelope.text(2, namespace_);
  envelope.text(3, topic);
  envelope.bytes(4, wire::encode(wire::Any{type, event}));
  pb::Writer request;
  request.bytes(1, envelope.data());
  if (queue_.size() >= kMaxQueued) {
    // The first is in flight, and keeps its place until it is answered for.
    auto victim = std::find_if(queue_.begin() + 1, queue_.end(), [](auto& e) { return !e.exit; });
    queue_.erase(victim == queue_.end() ? queue_.begin() + 1 : victim);
  }
  queue_.push_back({std::string_view(topic) == "/tasks/exit", request.take()});
  // After the answer to the RPC that caused the event.
  if (queue_.size() == 1) loop_.defer([this] { send_next(); });
}

void Publisher::daemon_seen() {
  if (in_flight_ || queue_.empty() || timer_ == 0) return;
  loop_.cancel(timer_);
  timer_ = 0;
  pause_ = 0;
  send_next();
}

void Publisher::flush(int64_t milliseconds, std::function<void()> done) {
  if (queue_.empty()) return done();
  flushed_ = std::move(done);
  loop_.after(milliseconds, [this] {
    if (auto last = std::move(flushed_)) last();
  });
}

void Publisher::send_next() {
  if (in_flight_ || queue_.empty() || timer_ != 0) return;
  if (!fd_) {
    if (auto connected = connect(); !connected) {
      disconnect();
      return retry_later();
    }
  }
  if (!fault::at("shim.event.send")) {
    disconnect();
    return retry_later();
  }
  stream_ += 2;
  if (stream_ == 2) stream_ = 1;
  unsent_ = ttrpc::request_frame(stream_, kService, "Forward", queue_.front().request,
                                 kAnswerTime * 1'000'000);
  in_flight_ = true;
  timer_ = loop_.after(kAnswerTime, [this] {
    timer_ = 0;
    disconnect();
    retry_later();
  });
  transmit();
}

Result<> Publisher::connect() {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (address_.size() >= sizeof address.sun_path) return fail(ENAMETOOLONG, "events socket");
  std::memcpy(address.sun_path, address_.data(), address_.size());
  fd_.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd_) return fail_errno("socket");
  if (::connect(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    return fail_errno("connect \"" + address_ + "\"");
  }
  stream_ = 0;
  return watch_.start(loop_, fd_.get(), EPOLLIN, [this](uint32_t events) { ready(events); });
}

void Publisher::ready(uint32_t events) {
  if ((events & EPOLLOUT) != 0) transmit();
  if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) receive();
}

void Publisher::transmit() {
  while (!unsent_.empty()) {
    const ssize_t count = ::send(fd_.get(), unsent_.data(), unsent_.size(), MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) return watch_.want(EPOLLIN | EPOLLOUT);
    if (count < 0) {
      disconnect();
      return retry_later();
    }
    unsent_.erase(0, static_cast<size_t>(count));
  }
  unsent_.shrink_to_fit();
  watch_.want(EPOLLIN);
}

void Publisher::receive() {
  char buffer[1024];
  for (;;) {
    const ssize_t count = ::recv(fd_.get(), buffer, sizeof buffer, 0);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) return;
    if (count <= 0) {
      const bool again = in_flight_;
      disconnect();
      if (again) retry_later();
      return;
    }
    parser_.feed({buffer, static_cast<size_t>(count)});
    while (const auto frame = parser_.next()) {
      if (!in_flight_ || frame->stream != stream_) continue;
      ttrpc::Response response;
      if (!ttrpc::decode(frame->payload, response)) response.status.code = ttrpc::Code::kInternal;
      if (response.status.code != ttrpc::Code::kOk) {
        log("event refused by the daemon: " + response.status.message);
      }
      delivered();
    }
    if (count < static_cast<ssize_t>(sizeof buffer)) return;
  }
}

void Publisher::delivered() {
  loop_.cancel(timer_);
  timer_ = 0;
  in_flight_ = false;
  pause_ = 0;
  queue_.pop_front();
  if (!queue_.empty()) return loop_.defer([this] { send_next(); });
  if (flushed_) loop_.defer(std::exchange(flushed_, nullptr));
}

void Publisher::disconnect() {
  watch_.stop();
  fd_.reset();
  parser_ = {};
  unsent_.clear();
  in_flight_ = false;
  if (timer_ != 0) loop_.cancel(std::exchange(timer_, 0));
}

void Publisher::retry_later() {
  pause_ = std::clamp(pause_ * 2, kFirstPause, kLongestPause);
  timer_ = loop_.after(pause_, [this] {
    timer_ = 0;
    send_next();
  });
}

}  // namespace davit::shim
