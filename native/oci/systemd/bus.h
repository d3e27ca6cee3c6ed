// A connection to a D-Bus peer: systemd's own socket, or the system bus.
#pragma once

#include <functional>
#include <string>

#include "native/kernel/fd.h"
#include "native/kernel/result.h"
#include "native/oci/systemd/message.h"

namespace davit::oci::dbus {

// Monotonic, in milliseconds, for deadlines.
long now_ms();

class Bus {
 public:
  // Connects to a unix socket and says who we are (EXTERNAL). Waits, here and below, by
  // kernel::wait_for. The errno of connect() when nobody is there.
  static Result<Bus> connect(const std::string& path, long deadline);

  // Sends the call and waits for its reply. An error reply is a failure: EEXIST for UnitExists,
  // ENOENT for NoSuchUnit, EACCES for AccessDenied, else 0 with the error's name and text. Signals
  // that come meanwhile go to `on_signal`.
  Result<Message> call(const Call& call, long deadline,
                       const std::function<void(Message)>& on_signal);
  // The next message, whatever it is. ETIMEDOUT at the deadline, ECONNRESET when the peer is gone.
  Result<Message> next(long deadline);

 private:
  explicit Bus(Fd socket) : socket_(std::move(socket)) {}
  Result<> send(std::string_view bytes, long deadline);
  Result<> fill(std::size_t size, long deadline);  // until so many bytes are in input_
  Result<> authenticate(long deadline);

  Fd socket_;
  std::string input_;
  std::uint32_t serial_ = 0;
};

// Where to connect for a D-Bus address list such as DBUS_SYSTEM_BUS_ADDRESS: the first
// `unix:path=`; empty when there is none.
std::string unix_path(std::string_view addresses);

}  // namespace davit::oci::dbus
