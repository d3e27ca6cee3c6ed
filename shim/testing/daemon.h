// The daemon's side of events for tests: answers Forward and records what came.
#pragma once

#include <string>
#include <vector>

#include "native/kernel/pb.h"
#include "shim/action/socket.h"
#include "shim/loop/loop.h"
#include "shim/rpc/server.h"
#include "shim/testing/check.h"
#include "shim/wire/messages.h"

namespace davit::testing {

struct Event {
  std::string topic;
  std::string namespace_;
  wire::Any event;
};

struct Daemon {
  shim::Server server;
  std::string path;
  std::vector<Event> events;

  Daemon(shim::Loop& loop, std::string socket) : path(std::move(socket)) {
    auto listener = shim::listen_at(path);
    CHECK(listener.has_value());
    CHECK(server
              .open(
                  loop, std::move(listener->fd),
                  [this](const shim::Call& call, const ttrpc::Request& request) {
                    record(request);
                    server.reply(call, {}, "");
                  },
                  [] {})
              .has_value());
  }
  ~Daemon() { ::unlink(path.c_str()); }

  std::vector<std::string> topics() const {
    std::vector<std::string> out;
    for (const auto& event : events) out.push_back(event.topic);
    return out;
  }

 private:
  void record(const ttrpc::Request& request) {
    CHECK(request.service == "containerd.services.events.ttrpc.v1.Events");
    CHECK(request.method == "Forward");
    pb::Reader forward(request.payload);
    CHECK(forward.next() && forward.field() == 1);
    pb::Reader envelope(forward.bytes());
    Event event;
    while (envelope.next()) {
      if (envelope.field() == 2) event.namespace_ = envelope.string();
      if (envelope.field() == 3) event.topic = envelope.string();
      if (envelope.field() == 4) CHECK(wire::decode(envelope.bytes(), event.event));
    }
    CHECK(envelope.ok() && event.namespace_ == "ns");
    events.push_back(std::move(event));
  }
};

}  // namespace davit::testing
