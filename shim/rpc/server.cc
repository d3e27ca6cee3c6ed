#include "shim/rpc/server.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>

namespace davit::shim {

using ttrpc::Code;
using ttrpc::Status;

namespace {

constexpr size_t kMaxConnections = 64;
constexpr size_t kMaxPending = 1024;            // unanswered requests of one connection
constexpr size_t kMaxQueued = 4 * 1024 * 1024;  // bytes a client may leave unread
constexpr int64_t kNoDescriptorsPause = 200;
constexpr int kReadsPerTurn = 16;

bool trusted_peer(int fd) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return false;
  return peer.uid == 0 || peer.uid == ::geteuid();
}

}  // namespace

class Server::Connection {
 public:
  Connection(Server& server, uint64_t id, Fd fd) : server_(server), id_(id), fd_(std::move(fd)) {}

  ~Connection() {
    for (const auto& pending : pending_) {
      if (pending.timer != 0) server_.loop_->cancel(pending.timer);
    }
  }

  Result<> open() {
    return watch_.start(*server_.loop_, fd_.get(), EPOLLIN | EPOLLRDHUP,
                        [this](uint32_t events) { ready(events); });
  }

  uint64_t id() const { return id_; }

  bool waiting(uint32_t stream) const {
    return std::ranges::any_of(pending_, [stream](const Pending& p) { return p.stream == stream; });
  }

  void reply(uint32_t stream, const Status& status, std::string_view payload) {
    const auto pending = std::ranges::find(pending_, stream, &Pending::stream);
    if (pending == pending_.end()) return;
    if (pending->timer != 0) server_.loop_->cancel(pending->timer);
    pending_.erase(pending);
    send(stream, status, payload);
  }

 private:
  struct Pending {
    uint32_t stream;
    uint64_t timer;  // 0 = no deadline
  };

  void ready(uint32_t events) {
    // What a client sent before it left is still done: a Kill needs nobody to hear the answer.
    if ((events & (EPOLLIN | EPOLLRDHUP)) != 0) receive();
    if ((events & (EPOLLERR | EPOLLHUP)) != 0) broken_ = true;
    if ((events & EPOLLOUT) != 0) flush();
    settle();
  }

  void receive() {
    char buffer[4096];
    for (int turn = 0; turn < kReadsPerTurn && !peer_done_ && !broken_; turn++) {
      const ssize_t count = ::recv(fd_.get(), buffer, sizeof buffer, 0);
      if (count > 0) {
        parser_.feed({buffer, static_cast<size_t>(count)});
        while (!broken_) {
          const auto frame = parser_.next();
          if (!frame) break;
          handle(*frame);
        }
        if (count < static_cast<ssize_t>(sizeof buffer)) return;
      } else if (count == 0) {
        peer_done_ = true;
      } else if (errno == EAGAIN) {
        return;
      } else if (errno != EINTR) {
        broken_ = true;
      }
    }
  }

  void handle(const ttrpc::Frame& frame) {
    if (frame.too_long) {
      return send(frame.stream, {Code::kResourceExhausted, "message length exceeds 4 MiB"}, {});
    }
    if (frame.type == static_cast<uint8_t>(ttrpc::Type::kData)) {
      return send(frame.stream, {Code::kInvalidArgument, "stream is no longer active"}, {});
    }
    if (frame.type != static_cast<uint8_t>(ttrpc::Type::kRequest)) return;  // for later versions
    if (frame.stream % 2 == 0) {
      return send(frame.stream, {Code::kInvalidArgument, "stream id of a client must be odd"}, {});
    }
    if (frame.stream <= last_stream_) {
      return send(frame.stream, {Code::kInvalidArgument, "stream id must increase"}, {});
    }
    last_stream_ = frame.stream;
    ttrpc::Request request;
    if (!ttrpc::decode(frame.payload, request)) {
      return send(frame.stream, {Code::kInvalidArgument, "malformed request"}, {});
    }
    if (pending_.size() >= kMaxPending) {
      return send(frame.stream, {Code::kResourceExhausted, "too many unanswered requests"}, {});
    }
    const uint32_t stream = frame.stream;
    pending_.push_back({stream, 0});
    server_.handler_({id_, stream}, request);
    if (request.timeout_nano > 0 && waiting(stream)) set_deadline(stream, request.timeout_nano);
  }

  void set_deadline(uint32_t stream, int64_t nanoseconds) {
    const int64_t milliseconds = nanoseconds / 1'000'000 + (nanoseconds % 1'000'000 != 0 ? 1 : 0);
    std::ranges::find(pending_, stream, &Pending::stream)->timer =
        server_.loop_->after(milliseconds, [this, stream] {
          reply(stream, {Code::kDeadlineExceeded, "context deadline exceeded"}, {});
        });
  }

  void send(uint32_t stream, const Status& status, std::string_view payload) {
    if (broken_) return;
    if (payload.size() > ttrpc::kMaxPayload / 2) {
      return send(stream, {Code::kResourceExhausted, "answer exceeds the message limit"}, {});
    }
    out_ += ttrpc::response_frame(stream, status, payload);
    flush();
    if (out_.size() > kMaxQueued) broken_ = true;
    settle();
  }

  void flush() {
    size_t sent = 0;
    while (sent < out_.size()) {
      const ssize_t count =
          ::send(fd_.get(), out_.data() + sent, out_.size() - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) {
        if (errno != EAGAIN) broken_ = true;
        break;
      }
      sent += static_cast<size_t>(count);
    }
    out_.erase(0, sent);
    if (out_.empty()) out_.shrink_to_fit();
  }

  // Chooses what to wait for next; ends the connection when nothing is left to do for it. The end
  // comes after the current batch, since this may run inside receive().
  void settle() {
    const bool finished = peer_done_ && pending_.empty() && out_.empty();
    if (broken_ || finished) {
      watch_.want(0);
      server_.loop_->defer([server = &server_, id = id_] {
        if (auto* self = server->find(id)) server->drop(self);
      });
      return;
    }
    // Without EPOLLIN a half-closed peer costs no wake-ups; EPOLLHUP still tells when it is gone.
    uint32_t events = peer_done_ ? 0u : EPOLLIN | EPOLLRDHUP;
    if (!out_.empty()) events |= EPOLLOUT;
    watch_.want(events == 0 ? EPOLLET : events);
  }

  Server& server_;
  const uint64_t id_;
  Fd fd_;
  Watch watch_;
  ttrpc::Parser parser_;
  std::string out_;
  std::vector<Pending> pending_;
  uint32_t last_stream_ = 0;
  bool peer_done_ = false;  // it has shut down its sending half
  bool broken_ = false;
};

Server::Server() = default;
Server::~Server() = default;

Result<> Server::open(Loop& loop, Fd listener, Handler handler, Arrival arrival) {
  loop_ = &loop;
  listener_ = std::move(listener);
  handler_ = std::move(handler);
  arrival_ = std::move(arrival);
  return watch_.start(loop, listener_.get(), EPOLLIN, [this](uint32_t) { accept_all(); });
}

void Server::stop_accepting() {
  if (!listener_) return;
  sockaddr_un address{};
  socklen_t size = sizeof address - 1;
  if (::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0) {
    ::unlink(address.sun_path);
  }
  watch_.stop();
  listener_.reset();
}

void Server::accept_all() {
  for (;;) {
    Fd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd && (errno == EMFILE || errno == ENFILE)) {
      // The listener stays readable: without a pause the loop would spin.
      watch_.want(0);
      loop_->after(kNoDescriptorsPause, [this] {
        if (watch_.running()) watch_.want(EPOLLIN);
      });
      return;
    }
    if (!fd) return;
    if (connections_.size() >= kMaxConnections || !trusted_peer(fd.get())) continue;
    auto connection = std::make_unique<Connection>(*this, next_id_++, std::move(fd));
    if (!connection->open()) continue;
    connections_.push_back(std::move(connection));
    arrival_();
  }
}

Server::Connection* Server::find(uint64_t id) const {
  const auto found =
      std::ranges::find_if(connections_, [id](const auto& c) { return c->id() == id; });
  return found == connections_.end() ? nullptr : found->get();
}

void Server::drop(Connection* connection) {
  std::erase_if(connections_, [connection](const auto& c) { return c.get() == connection; });
}

void Server::reply(const Call& call, const Status& status, std::string_view payload) {
  if (auto* connection = find(call.connection)) connection->reply(call.stream, status, payload);
}

bool Server::waiting(const Call& call) const {
  const auto* connection = find(call.connection);
  return connection != nullptr && connection->waiting(call.stream);
}

}  // namespace davit::shim
