#include "native/oci/systemd/message.h"

#include <bit>
#include <cstring>

namespace davit::oci::dbus {
namespace {

static_assert(std::endian::native == std::endian::little, "messages are written in byte order l");

enum Field : std::uint8_t {
  kPath = 1,
  kInterface = 2,
  kMember = 3,
  kErrorName = 4,
  kReplySerial = 5,
  kDestination = 6,
  kSignature = 8,
};

void align(std::string& out, std::size_t to) {
  out.append((to - out.size() % to) % to, '\0');
}

template <typename T>
void put(std::string& out, T number) {
  align(out, sizeof number);
  out.append(reinterpret_cast<const char*>(&number), sizeof number);
}

void put_string(std::string& out, std::string_view text) {
  put(out, static_cast<std::uint32_t>(text.size()));
  out.append(text);
  out.push_back('\0');
}

void put_signature(std::string& out, std::string_view text) {
  out.push_back(static_cast<char>(text.size()));
  out.append(text);
  out.push_back('\0');
}

// The length counts neither itself nor the padding before the first element.
template <typename Fill>
void put_array(std::string& out, std::size_t element_alignment, const Fill& fill) {
  put(out, std::uint32_t{0});
  std::size_t length_at = out.size() - sizeof(std::uint32_t);
  align(out, element_alignment);
  std::size_t begin = out.size();
  fill();
  auto length = static_cast<std::uint32_t>(out.size() - begin);
  std::memcpy(out.data() + length_at, &length, sizeof length);
}

struct PutVariant {
  std::string& out;

  void operator()(bool value) const {
    put_signature(out, "b");
    put(out, std::uint32_t{value});
  }
  void operator()(std::int32_t value) const {
    put_signature(out, "i");
    put(out, value);
  }
  void operator()(std::uint32_t value) const {
    put_signature(out, "u");
    put(out, value);
  }
  void operator()(std::uint64_t value) const {
    put_signature(out, "t");
    put(out, value);
  }
  void operator()(const std::string& value) const {
    put_signature(out, "s");
    put_string(out, value);
  }
  void operator()(const std::vector<std::string>& all) const {
    put_signature(out, "as");
    put_array(out, 4, [&] {
      for (const std::string& one : all) put_string(out, one);
    });
  }
  void operator()(const std::vector<std::uint32_t>& all) const {
    put_signature(out, "au");
    put_array(out, 4, [&] {
      for (std::uint32_t one : all) put(out, one);
    });
  }
  void operator()(const std::vector<std::uint8_t>& all) const {
    put_signature(out, "ay");
    put_array(out, 1, [&] {
      for (std::uint8_t one : all) out.push_back(static_cast<char>(one));
    });
  }
  void operator()(const Pairs& all) const {
    put_signature(out, "a(ss)");
    put_array(out, 8, [&] {
      for (const auto& [first, second] : all) {
        align(out, 8);
        put_string(out, first);
        put_string(out, second);
      }
    });
  }
};

// Reads on from `at`; once something is not there, nothing more is, and `fine` says so.
class Reader {
 public:
  explicit Reader(std::string_view bytes, std::size_t at = 0) : bytes_(bytes), at_(at) {}

  bool fine() const { return fine_; }
  std::size_t at() const { return at_; }

  template <typename T>
  T number() {
    T value{};
    std::string_view raw = take(sizeof value, sizeof value);
    if (raw.size() == sizeof value) std::memcpy(&value, raw.data(), sizeof value);
    return value;
  }
  std::string string() { return ended(number<std::uint32_t>()); }
  std::string signature() { return ended(number<std::uint8_t>()); }
  void align(std::size_t to) { (void)take(0, to); }

 private:
  std::string_view take(std::size_t size, std::size_t alignment) {
    std::size_t padding = (alignment - at_ % alignment) % alignment;
    std::size_t left = bytes_.size() - at_;
    if (!fine_ || left < padding || left - padding < size) {
      fine_ = false;
      return {};
    }
    std::string_view raw = bytes_.substr(at_ + padding, size);
    at_ += padding + size;
    return raw;
  }
  // With its final NUL, and none before.
  std::string ended(std::size_t size) {
    std::string_view raw = take(size + 1, 1);
    if (!fine_ || raw.find('\0') != size) {
      fine_ = false;
      return "";
    }
    return std::string(raw.substr(0, size));
  }

  std::string_view bytes_;
  std::size_t at_;
  bool fine_ = true;
};

std::unexpected<Error> malformed(const char* what) {
  return fail(EPROTO, std::string("D-Bus message: ") + what);
}

// One header field. Those that are not known are passed over, as the specification demands; all
// that it has are of these types.
Result<> read_field(Reader& reader, Message& out) {
  reader.align(8);
  auto code = reader.number<std::uint8_t>();
  std::string type = reader.signature();
  std::string text;
  std::uint32_t number = 0;
  if (type == "s" || type == "o")
    text = reader.string();
  else if (type == "g")
    text = reader.signature();
  else if (type == "u")
    number = reader.number<std::uint32_t>();
  else
    return malformed("a header field of an unknown type");
  if (code == kPath) out.path = std::move(text);
  if (code == kInterface) out.interface = std::move(text);
  if (code == kMember) out.member = std::move(text);
  if (code == kErrorName) out.error_name = std::move(text);
  if (code == kSignature) out.signature = std::move(text);
  if (code == kReplySerial) out.reply_serial = number;
  return {};
}

}  // namespace

Body& Body::string(std::string_view text) {
  signature_ += 's';
  put_string(bytes_, text);
  return *this;
}

Body& Body::boolean(bool value) {
  signature_ += 'b';
  put(bytes_, std::uint32_t{value});
  return *this;
}

Body& Body::properties(const Properties& all) {
  signature_ += "a(sv)";
  put_array(bytes_, 8, [&] {
    for (const Property& one : all) {
      align(bytes_, 8);
      put_string(bytes_, one.name);
      std::visit(PutVariant{bytes_}, one.value);
    }
  });
  return *this;
}

Body& Body::no_units() {
  signature_ += "a(sa(sv))";
  put_array(bytes_, 8, [] {});
  return *this;
}

std::string encode(const Call& call, std::uint32_t serial) {
  std::string out = "l";
  out.push_back(static_cast<char>(Kind::kCall));
  out.push_back('\0');  // flags
  out.push_back('\1');  // version
  put(out, static_cast<std::uint32_t>(call.body.bytes().size()));
  put(out, serial);
  auto field = [&](Field code, const char* type, const std::string& text) {
    if (text.empty()) return;
    align(out, 8);
    out.push_back(static_cast<char>(code));
    put_signature(out, type);
    if (*type == 'g')
      put_signature(out, text);
    else
      put_string(out, text);
  };
  put_array(out, 8, [&] {
    field(kPath, "o", call.path);
    field(kInterface, "s", call.interface);
    field(kMember, "s", call.member);
    field(kDestination, "s", call.destination);
    field(kSignature, "g", call.body.signature());
  });
  align(out, 8);
  return out + call.body.bytes();
}

Result<std::size_t> message_size(std::string_view header) {
  if (header.size() < kFixedHeader) return malformed("cut short");
  if (header[0] != 'l') return malformed("of another byte order");
  if (header[3] != 1) return malformed("of another version");
  std::uint32_t body = 0, fields = 0;
  std::memcpy(&body, header.data() + 4, sizeof body);
  std::memcpy(&fields, header.data() + 12, sizeof fields);
  if (body > kMaxMessage || fields > kMaxMessage) return fail(EMSGSIZE, "D-Bus message");
  std::size_t whole = (kFixedHeader + fields + 7) / 8 * 8 + body;
  if (whole > kMaxMessage) return fail(EMSGSIZE, "D-Bus message");
  return whole;
}

Result<Message> decode(std::string_view bytes) {
  DAVIT_ASSIGN(std::size_t size, message_size(bytes));
  if (size != bytes.size()) return malformed("cut short");
  Message out;
  auto kind = static_cast<std::uint8_t>(bytes[1]);
  if (kind < 1 || kind > 4) return malformed("of an unknown type");
  out.kind = static_cast<Kind>(kind);
  std::uint32_t fields = 0;
  std::memcpy(&fields, bytes.data() + 12, sizeof fields);
  Reader reader(bytes.substr(0, kFixedHeader + fields), kFixedHeader);
  while (reader.fine() && reader.at() < kFixedHeader + fields) DAVIT_TRY(read_field(reader, out));
  if (!reader.fine()) return malformed("a header field that is cut short");
  out.body = bytes.substr((kFixedHeader + fields + 7) / 8 * 8);
  return out;
}

Result<std::vector<std::string>> texts_of(const Message& message) {
  std::vector<std::string> texts;
  Reader reader(message.body);
  for (char type : message.signature) {
    if (type == 'u')
      (void)reader.number<std::uint32_t>();
    else if (type == 's' || type == 'o')
      texts.push_back(reader.string());
    else
      return malformed("a body of an unexpected type");
  }
  if (!reader.fine()) return malformed("a body that is cut short");
  return texts;
}

}  // namespace davit::oci::dbus
