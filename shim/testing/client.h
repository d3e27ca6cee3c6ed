// A ttrpc client for tests: sends bytes as it is told, collects answers.
#pragma once

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>
#include <optional>
#include <string>

#include "native/kernel/fd.h"
#include "shim/testing/check.h"
#include "shim/wire/ttrpc.h"

namespace davit::testing {

struct Answer {
  uint32_t stream = 0;
  ttrpc::Code code = ttrpc::Code::kOk;
  std::string text;  // the payload, or the status' message
};

struct Client {
  Fd fd;
  ttrpc::Parser parser;

  explicit Client(const std::string& path) : fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    CHECK(::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  }

  void send(const std::string& bytes) const {
    CHECK(::send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
          static_cast<ssize_t>(bytes.size()));
  }

  void call(uint32_t stream, const char* method, int64_t timeout = 0) const {
    send(ttrpc::request_frame(stream, "svc", method, "", timeout));
  }

  // The next answer, if it comes within `milliseconds`.
  std::optional<Answer> receive(int milliseconds = 0) {
    for (;;) {
      if (const auto frame = parser.next()) {
        ttrpc::Response response;
        CHECK(ttrpc::decode(frame->payload, response));
        const bool good = response.status.code == ttrpc::Code::kOk;
        return Answer{frame->stream, response.status.code,
                      good ? std::string(response.payload) : response.status.message};
      }
      pollfd ready{.fd = fd.get(), .events = POLLIN, .revents = 0};
      if (::poll(&ready, 1, milliseconds) <= 0) return std::nullopt;
      char buffer[4096];
      const ssize_t count = ::recv(fd.get(), buffer, sizeof buffer, MSG_DONTWAIT);
      if (count <= 0) return std::nullopt;
      parser.feed({buffer, static_cast<size_t>(count)});
    }
  }

  bool closed() const {
    pollfd probe{.fd = fd.get(), .events = POLLIN | POLLRDHUP, .revents = 0};
    return ::poll(&probe, 1, 0) > 0 && (probe.revents & (POLLHUP | POLLRDHUP)) != 0;
  }
};

}  // namespace davit::testing
