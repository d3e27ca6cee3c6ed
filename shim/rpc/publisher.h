// Publishes task events to the daemon: ttrpc Forward on its events socket, one event at a time so
// that their order survives, never in the way of an RPC.
//
// An event stays queued until the daemon has answered for it. While the daemon is away the shim
// tries again with growing pauses, and at once when somebody connects to the shim (daemon_seen).
// The queue is bounded: when it is full the oldest event that is not an exit goes first. What is
// lost here stays answerable through State, Wait and Connect. With an empty queue no timer runs.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <string>

#include "native/kernel/fd.h"
#include "shim/loop/loop.h"
#include "shim/wire/ttrpc.h"

namespace davit::shim {

class Publisher {
 public:
  // `address` is a socket path, with or without unix://; empty publishes nothing.
  Publisher(Loop& loop, std::string address, std::string namespace_);

  // `event` is the encoded message, `type` its bare name (containerd.events.TaskExit).
  void publish(const char* topic, const char* type, const std::string& event);
  void daemon_seen();
  // Calls done once everything queued is delivered, or after `milliseconds`.
  void flush(int64_t milliseconds, std::function<void()> done);
  size_t queued() const { return queue_.size(); }

  static constexpr size_t kMaxQueued = 2048;

 private:
  struct Event {
    bool exit;
    std::string request;  // an encoded ForwardRequest
  };
  void send_next();
  Result<> connect();
  void ready(uint32_t events);
  void transmit();
  void receive();
  void delivered();
  void disconnect();
  void retry_later();

  Loop& loop_;
  std::string address_;
  std::string namespace_;
  std::deque<Event> queue_;
  Fd fd_;
  Watch watch_;
  ttrpc::Parser parser_;
  uint32_t stream_ = 0;  // of the request in flight
  bool in_flight_ = false;
  std::string unsent_;
  uint64_t timer_ = 0;  // an answer's deadline while in flight, else the next attempt
  int64_t pause_ = 0;
  std::function<void()> flushed_;
};

}  // namespace davit::shim
