// D-Bus messages, as much of them as talking to systemd takes: method calls are written; replies,
// errors and signals are read. D-Bus Specification 0.42, "Message Protocol" and "Type System".
//
// What is read was written by another process: every length is checked against what is there, and
// a message is at most kMaxMessage long, where the specification allows 128 MiB.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "native/kernel/result.h"

namespace davit::oci::dbus {

inline constexpr std::size_t kMaxMessage = 1 << 20;
inline constexpr std::size_t kFixedHeader = 16;

// The types of systemd's properties that are set here: b, i, u, t, s, as, au, ay, a(ss).
using Pairs = std::vector<std::pair<std::string, std::string>>;
using Value = std::variant<bool, std::int32_t, std::uint32_t, std::uint64_t, std::string,
                           std::vector<std::string>, std::vector<std::uint32_t>,
                           std::vector<std::uint8_t>, Pairs>;

struct Property {
  std::string name;
  Value value;
};
using Properties = std::vector<Property>;

// The body of a call, in the order of its signature, which it builds on the way.
class Body {
 public:
  Body& string(std::string_view text);
  Body& boolean(bool value);
  Body& properties(const Properties& all);  // a(sv)
  Body& no_units();                         // an empty a(sa(sv))

  const std::string& bytes() const { return bytes_; }
  const std::string& signature() const { return signature_; }

 private:
  std::string bytes_, signature_;
};

struct Call {
  std::string destination, path, interface, member;
  Body body;
};

// `serial` is the number that the reply will name; never 0.
std::string encode(const Call& call, std::uint32_t serial);

enum class Kind : std::uint8_t { kCall = 1, kReply = 2, kError = 3, kSignal = 4 };

struct Message {
  Kind kind = Kind::kCall;
  std::uint32_t reply_serial = 0;
  std::string path, interface, member, error_name, signature;
  std::string body;
};

// How long the message is that begins with these kFixedHeader bytes. EPROTO for what is no message
// of this machine's byte order, EMSGSIZE for one above kMaxMessage.
Result<std::size_t> message_size(std::string_view header);

// A whole message. EPROTO when it is not well-formed.
Result<Message> decode(std::string_view bytes);

// Strings and object paths of a body whose signature is of u, s and o only, in order; numbers are
// passed over. EPROTO when it is another or the body does not hold it.
Result<std::vector<std::string>> texts_of(const Message& message);

}  // namespace davit::oci::dbus
