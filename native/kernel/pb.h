// Protocol Buffers' wire format: just enough for the messages of the shim and of criu.
//
// Reader walks one message in a buffer that it does not own; every length is checked against the
// buffer, and what it meets beyond the fields asked for is skipped, as proto3 wants. A malformed
// message makes next() return false and ok() false. Strings and bytes are views into the buffer.
// Writer appends fields; default values (0, "", false) are left out, as proto3 does.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace davit::pb {

enum class Wire : uint8_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

class Reader {
 public:
  explicit Reader(std::string_view data) : at_(data.data()), end_(data.data() + data.size()) {}

  // Moves to the next field; false at the end of the message or when it is malformed.
  bool next();
  bool ok() const { return ok_; }
  uint32_t field() const { return field_; }

  // The value of the current field. A value of another wire type than asked for makes ok() false.
  std::string_view bytes();
  std::string string() { return std::string(bytes()); }
  uint64_t varint();
  uint32_t u32() { return static_cast<uint32_t>(varint()); }
  int64_t i64() { return static_cast<int64_t>(varint()); }
  bool boolean() { return varint() != 0; }

 private:
  bool read_varint(uint64_t& out);
  bool bad() {
    ok_ = false;
    return false;
  }

  const char* at_;
  const char* end_;
  bool ok_ = true;
  uint32_t field_ = 0;
  Wire wire_ = Wire::kVarint;
  uint64_t number_ = 0;
  std::string_view bytes_;
};

class Writer {
 public:
  void varint(uint32_t field, uint64_t value);
  // Like varint, but present even when 0: optional fields whose default is another.
  void varint_always(uint32_t field, uint64_t value);
  void boolean(uint32_t field, bool value) { varint(field, value ? 1 : 0); }
  void i64(uint32_t field, int64_t value) { varint(field, static_cast<uint64_t>(value)); }
  void fixed_double(uint32_t field, double value);
  void bytes(uint32_t field, std::string_view value);
  // Like bytes, but present even when empty: members of repeated fields and oneofs, submessages.
  void bytes_always(uint32_t field, std::string_view value);
  // A string field: bytes that are not UTF-8 become '?', since a receiver may refuse the message.
  void text(uint32_t field, std::string_view value);

  const std::string& data() const { return out_; }
  std::string take() { return std::move(out_); }

 private:
  void raw(uint64_t value);
  void key(uint32_t field, Wire wire) { raw(uint64_t{field} << 3 | static_cast<uint8_t>(wire)); }

  std::string out_;
};

// The same text with every byte that is not part of valid UTF-8 replaced by '?'.
std::string valid_utf8(std::string_view text);

}  // namespace davit::pb
