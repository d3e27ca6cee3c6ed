// ttrpc server on a listening socket: several connections, concurrent requests, answers in any
// order and at any time.
//
// The handler gets each request with a Call; reply(call) answers it once, now or later. A reply to
// a call whose client has left, or whose deadline has passed (it was then answered with
// DeadlineExceeded), does nothing. Bounds: connections, unanswered requests per connection, bytes
// waiting for a client that does not read (who is then disconnected). A peer that has closed only
// its sending half still gets its answers.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "native/kernel/fd.h"
#include "shim/loop/loop.h"
#include "shim/wire/ttrpc.h"

namespace davit::shim {

struct Call {
  uint64_t connection = 0;
  uint32_t stream = 0;
};

class Server {
 public:
  // `request` views are valid during the call only.
  using Handler = std::function<void(const Call& call, const ttrpc::Request& request)>;
  // Somebody connected: the daemon is there.
  using Arrival = std::function<void()>;

  Server();
  ~Server();
  Result<> open(Loop& loop, Fd listener, Handler handler, Arrival arrival);
  // Gives the socket's path up, so that another shim may take it; connections go on.
  void stop_accepting();
  void reply(const Call& call, const ttrpc::Status& status, std::string_view payload);
  // False once the call is answered or its client gone: a list of waiting calls can be pruned.
  bool waiting(const Call& call) const;

 private:
  class Connection;
  void accept_all();
  Connection* find(uint64_t id) const;
  void drop(Connection* connection);

  Loop* loop_ = nullptr;
  Fd listener_;
  Watch watch_;
  Handler handler_;
  Arrival arrival_;
  uint64_t next_id_ = 1;
  std::vector<std::unique_ptr<Connection>> connections_;
};

}  // namespace davit::shim
