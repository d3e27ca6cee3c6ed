// The server and the publisher over real sockets, in one loop with the test's own ends.
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <optional>
#include <vector>

#include "native/kernel/pb.h"
#include "shim/action/socket.h"
#include "shim/rpc/publisher.h"
#include "shim/rpc/server.h"
#include "shim/testing/check.h"
#include "shim/testing/client.h"
#include "shim/testing/daemon.h"
#include "shim/wire/messages.h"

using namespace davit;
using namespace davit::shim;
using davit::testing::Client;
using davit::testing::Daemon;
using ttrpc::Code;
using namespace std::string_literals;

namespace {

std::string root;

void run(Loop& loop, int64_t milliseconds) {
  loop.after(milliseconds, [&loop] { loop.quit(); });
  CHECK(loop.run().has_value());
}

struct Bench {
  Loop loop;
  Server server;
  std::string path = root + "/server";
  std::vector<Call> held;  // calls of method Hold
  int arrivals = 0;

  Bench() {
    CHECK(loop.open().has_value());
    auto listener = listen_at(path);
    CHECK(server
              .open(
                  loop, std::move(listener->fd),
                  [this](const Call& call, const ttrpc::Request& request) {
                    if (request.method == "Hold") return held.push_back(call);
                    if (request.method == "Big") {
                      return server.reply(call, {}, std::string(1 << 20, 'x'));
                    }
                    server.reply(call, {}, std::string(request.method));
                  },
                  [this] { arrivals++; })
              .has_value());
  }
  ~Bench() { unlink(path.c_str()); }
};

void test_answers_in_any_order() {
  Bench bench;
  Client a(bench.path);
  Client b(bench.path);
  a.call(1, "Hold");
  a.call(3, "Echo");
  b.call(1, "Echo");
  run(bench.loop, 20);
  CHECK(bench.arrivals == 2);
  auto answer = a.receive();
  CHECK(answer && answer->stream == 3 && answer->text == "Echo");
  CHECK(!a.receive());
  answer = b.receive();
  CHECK(answer && answer->stream == 1);
  CHECK(bench.held.size() == 1 && bench.server.waiting(bench.held[0]));
  bench.server.reply(bench.held[0], {}, "late");
  bench.server.reply(bench.held[0], {}, "twice");
  run(bench.loop, 20);
  answer = a.receive();
  CHECK(answer && answer->stream == 1 && answer->text == "late");
  CHECK(!a.receive());
}

void test_half_closed_and_gone() {
  Bench bench;
  Client half(bench.path);
  half.call(1, "Hold");
  shutdown(half.fd.get(), SHUT_WR);
  {
    Client gone(bench.path);
    gone.call(1, "Hold");
    run(bench.loop, 20);
  }
  run(bench.loop, 20);
  CHECK(bench.held.size() == 2);
  CHECK(bench.server.waiting(bench.held[0]) && !bench.server.waiting(bench.held[1]));
  for (const Call& call : bench.held) bench.server.reply(call, {}, "done");
  run(bench.loop, 20);
  const auto answer = half.receive();
  CHECK(answer && answer->text == "done");
  CHECK(half.closed());
}

void test_deadline() {
  Bench bench;
  Client client(bench.path);
  client.call(1, "Hold", 30'000'000);
  run(bench.loop, 10);
  CHECK(!client.receive());
  run(bench.loop, 60);
  const auto answer = client.receive();
  CHECK(answer && answer->code == Code::kDeadlineExceeded);
  CHECK(!bench.server.waiting(bench.held[0]));
}

void test_bad_frames() {
  Bench bench;
  Client client(bench.path);
  client.call(2, "Echo");
  client.call(5, "Echo");
  client.call(3, "Echo");                                          // goes back
  client.send("\0\0\0\0\0\0\0\7\3\0"s);                            // data for no stream
  client.send("\0\0\0\0\0\0\0\7\x63\0"s);                          // a type of a later version
  client.send("\0\0\0\2\0\0\0\x09\1\0\x0a\x7f"s);                  // not a request
  client.send("\0\x50\0\0\0\0\0\x0b\1\0"s + std::string(1, 'x'));  // 5 MiB to come
  run(bench.loop, 20);
  const Code expected[] = {Code::kInvalidArgument, Code::kOk,
                           Code::kInvalidArgument, Code::kInvalidArgument,
                           Code::kInvalidArgument, Code::kResourceExhausted};
  for (const Code code : expected) {
    const auto answer = client.receive();
    CHECK(answer && answer->code == code);
  }
  CHECK(!client.receive() && !client.closed());
  // The rest of the long frame is skipped, and the connection still works.
  const std::string piece(1 << 16, 'x');
  size_t left = 5 * 1024 * 1024 - 1;
  while (left > 0) {
    const size_t size = std::min(left, piece.size());
    client.send(piece.substr(0, size));
    left -= size;
    run(bench.loop, 1);
  }
  client.call(13, "Echo");
  run(bench.loop, 20);
  const auto answer = client.receive();
  CHECK(answer && answer->stream == 13 && answer->code == Code::kOk);
}

void test_client_that_does_not_read() {
  Bench bench;
  Client greedy(bench.path);
  for (uint32_t i = 0; i < 8; i++) greedy.call(2 * i + 1, "Big");
  run(bench.loop, 50);
  CHECK(greedy.closed());
  Client fine(bench.path);
  fine.call(1, "Echo");
  run(bench.loop, 20);
  CHECK(fine.receive().has_value());
}

void test_publisher() {
  Loop loop;
  CHECK(loop.open().has_value());
  Publisher events(loop, "unix://" + root + "/events", "ns");
  auto daemon = std::make_optional<Daemon>(loop, root + "/events");
  events.publish("/tasks/create", "containerd.events.TaskCreate", "");
  events.publish("/tasks/start", "containerd.events.TaskStart", "");
  run(loop, 30);
  CHECK((daemon->topics() == std::vector<std::string>{"/tasks/create", "/tasks/start"}));
  daemon.reset();
  events.publish("/tasks/exit", "containerd.events.TaskExit", "");
  run(loop, 100);
  CHECK(events.queued() == 1);
  daemon.emplace(loop, root + "/events");
  events.daemon_seen();  // no need to wait for the next attempt
  run(loop, 30);
  CHECK(events.queued() == 0 && daemon->topics() == std::vector<std::string>{"/tasks/exit"});
}

void test_publisher_bound() {
  Loop loop;
  CHECK(loop.open().has_value());
  Publisher events(loop, root + "/events", "ns");
  events.publish("/tasks/exit", "containerd.events.TaskExit", "");
  for (size_t i = 0; i < Publisher::kMaxQueued + 500; i++) {
    events.publish("/tasks/exec-added", "containerd.events.TaskExecAdded", "");
  }
  events.publish("/tasks/exit", "containerd.events.TaskExit", "");
  CHECK(events.queued() == Publisher::kMaxQueued);
  Daemon daemon(loop, root + "/events");
  bool flushed = false;
  events.flush(5000, [&] {
    flushed = true;
    loop.quit();
  });
  CHECK(loop.run().has_value());
  CHECK(flushed && events.queued() == 0);
  CHECK(daemon.events.front().topic == "/tasks/exit" &&
        daemon.events.back().topic == "/tasks/exit");
}

}  // namespace

int main() {
  char pattern[] = "/tmp/davit-rpc-XXXXXX";
  root = mkdtemp(pattern);
  test_answers_in_any_order();
  test_half_closed_and_gone();
  test_deadline();
  test_bad_frames();
  test_client_that_does_not_read();
  test_publisher();
  test_publisher_bound();
  CHECK(system(("rm -r " + root).c_str()) == 0);
  return testing::result();
}
