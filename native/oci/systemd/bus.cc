#include "native/oci/systemd/bus.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>

#include "native/kernel/wait.h"

namespace davit::oci::dbus {
namespace {

constexpr std::size_t kMaxAuthLine = 512;

Result<> wait_until(int socket, short events, long deadline) {
  for (;;) {
    pollfd item = {socket, events, 0};
    int n = kernel::wait_for(&item, 1, static_cast<int>(std::max(0L, deadline - now_ms())));
    if (n > 0) return {};
    if (n == 0) return fail(ETIMEDOUT, "D-Bus: no answer");
    if (errno != EINTR) return fail_errno("D-Bus: poll");
  }
}

std::unexpected<Error> failure_of(const Message& reply) {
  auto texts = texts_of(reply);
  std::string text = texts && !texts->empty() ? texts->front() : reply.error_name;
  auto is = [&](std::string_view name) { return reply.error_name.ends_with(name); };
  if (is(".UnitExists")) return fail(EEXIST, text);
  if (is(".NoSuchUnit")) return fail(ENOENT, text);
  if (is(".AccessDenied")) return fail(EACCES, text);
  return fail(0, texts && !texts->empty() ? text + " (" + reply.error_name + ")" : text);
}

int hex(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

long now_ms() {
  timespec now;
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1'000'000;
}

std::string unix_path(std::string_view addresses) {
  while (!addresses.empty()) {
    std::string_view one = addresses.substr(0, addresses.find(';'));
    addresses.remove_prefix(std::min(addresses.size(), one.size() + 1));
    if (!one.starts_with("unix:path=")) continue;
    one = one.substr(10, one.find(',') - 10);
    std::string path;
    for (std::size_t i = 0; i < one.size(); ++i) {
      int high = i + 2 < one.size() ? hex(one[i + 1]) : -1;
      int low = i + 2 < one.size() ? hex(one[i + 2]) : -1;
      if (one[i] != '%' || high < 0 || low < 0) {
        path.push_back(one[i]);
        continue;
      }
      path.push_back(static_cast<char>(high * 16 + low));
      i += 2;
    }
    return path;
  }
  return "";
}

Result<Bus> Bus::connect(const std::string& path, long deadline) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return fail(ENAMETOOLONG, "connect to " + path);
  path.copy(address.sun_path, path.size());
  Bus bus(Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)));
  if (!bus.socket_) return fail_errno("socket");
  while (::connect(bus.socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    // EAGAIN: more are waiting there than it lets wait.
    if ((errno != EAGAIN && errno != EINTR) || now_ms() >= deadline)
      return fail_errno("connect to " + path);
    kernel::sleep_for(10);
  }
  DAVIT_TRY(bus.authenticate(deadline));
  return bus;
}

Result<> Bus::authenticate(long deadline) {
  // The uid in decimal, its digits in hexadecimal; the peer compares it with the socket's.
  std::string line("\0AUTH EXTERNAL ", 15);
  for (char digit : std::to_string(::geteuid())) {
    line += '3';
    line += digit;
  }
  // BEGIN at once: systemd does not look again at what of a call it read together with a later one.
  DAVIT_TRY(send(line + "\r\nBEGIN\r\n", deadline));
  std::size_t end;
  while ((end = input_.find("\r\n")) == std::string::npos) {
    if (input_.size() > kMaxAuthLine) return fail(EPROTO, "D-Bus: no answer to AUTH");
    DAVIT_TRY(fill(input_.size() + 1, deadline));
  }
  std::string answer = input_.substr(0, end);
  input_.erase(0, end + 2);
  if (!answer.starts_with("OK "))
    return fail(EACCES, "D-Bus: the peer does not take us for user " + std::to_string(::geteuid()) +
                            " (\"" + answer + "\")");
  return {};
}

Result<> Bus::send(std::string_view bytes, long deadline) {
  while (!bytes.empty()) {
    ssize_t n = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n > 0) {
      bytes.remove_prefix(static_cast<std::size_t>(n));
      continue;
    }
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EPIPE) return fail(ECONNRESET, "D-Bus: the peer has gone");
    if (n < 0 && errno != EAGAIN) return fail_errno("D-Bus: send");
    DAVIT_TRY(wait_until(socket_.get(), POLLOUT, deadline));
  }
  return {};
}

Result<> Bus::fill(std::size_t size, long deadline) {
  while (input_.size() < size) {
    char buffer[4096];
    ssize_t n = ::recv(socket_.get(), buffer, sizeof buffer, 0);
    if (n == 0) return fail(ECONNRESET, "D-Bus: the peer has gone");
    if (n > 0) {
      input_.append(buffer, static_cast<std::size_t>(n));
      continue;
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN) return fail_errno("D-Bus: receive");
    DAVIT_TRY(wait_until(socket_.get(), POLLIN, deadline));
  }
  return {};
}

Result<Message> Bus::next(long deadline) {
  DAVIT_TRY(fill(kFixedHeader, deadline));
  DAVIT_ASSIGN(std::size_t size, message_size(input_));
  DAVIT_TRY(fill(size, deadline));
  auto message = decode(std::string_view(input_).substr(0, size));
  input_.erase(0, size);
  return message;
}

Result<Message> Bus::call(const Call& call, long deadline,
                          const std::function<void(Message)>& on_signal) {
  std::uint32_t serial = ++serial_;
  DAVIT_TRY(send(encode(call, serial), deadline));
  for (;;) {
    DAVIT_ASSIGN(Message message, next(deadline));
    bool answer = message.kind == Kind::kReply || message.kind == Kind::kError;
    if (answer && message.reply_serial == serial) {
      if (message.kind == Kind::kError) return failure_of(message);
      return message;
    }
    if (message.kind == Kind::kSignal) on_signal(std::move(message));
  }
}

}  // namespace davit::oci::dbus
