#include "native/layer/tar_block.h"

#include <algorithm>

namespace davit::layer {
namespace {

constexpr size_t kChecksumOffset = 148;
constexpr size_t kChecksumLength = 8;

std::optional<int64_t> base256(std::span<const uint8_t> field) {
  bool negative = (field[0] & 0x40) != 0;
  uint8_t invert = negative ? 0xff : 0x00;
  uint64_t value = 0;
  for (size_t i = 0; i < field.size(); i++) {
    uint8_t byte = field[i] ^ invert;
    if (i == 0) byte &= 0x7f;
    if ((value >> 56) != 0) return std::nullopt;
    value = value << 8 | byte;
  }
  if ((value >> 63) != 0) return std::nullopt;
  return negative ? static_cast<int64_t>(~value) : static_cast<int64_t>(value);
}

std::optional<int64_t> octal(std::string_view text) {
  size_t begin = text.find_first_not_of(' ');
  if (begin == std::string_view::npos) return 0;
  size_t end = text.find_last_not_of(' ');
  uint64_t value = 0;
  for (char digit : text.substr(begin, end + 1 - begin)) {
    if (digit < '0' || digit > '7' || (value >> 60) != 0) return std::nullopt;
    value = value << 3 | static_cast<uint64_t>(digit - '0');
  }
  return static_cast<int64_t>(value);
}

}  // namespace

bool Block::is_zero() const {
  return std::all_of(bytes.begin(), bytes.end(), [](uint8_t byte) { return byte == 0; });
}

bool Block::checksum_matches() const {
  std::optional<int64_t> stored = field_number(field(kChecksumOffset, kChecksumLength));
  if (!stored) return false;
  int64_t sum = 0;
  int64_t signed_sum = 0;
  for (size_t i = 0; i < bytes.size(); i++) {
    bool blank = i >= kChecksumOffset && i < kChecksumOffset + kChecksumLength;
    uint8_t byte = blank ? ' ' : bytes[i];
    sum += byte;
    signed_sum += static_cast<int8_t>(byte);
  }
  return *stored == sum || *stored == signed_sum;
}

Dialect dialect_of(const Block& block) {
  auto text = [&](size_t offset, size_t length) {
    std::span<const uint8_t> field = block.field(offset, length);
    return std::string_view(reinterpret_cast<const char*>(field.data()), field.size());
  };
  if (text(257, 8) == std::string_view("ustar  \0", 8)) return Dialect::kGnu;
  if (text(257, 6) != std::string_view("ustar\0", 6)) return Dialect::kV7;
  return text(508, 4) == std::string_view("tar\0", 4) ? Dialect::kStar : Dialect::kUstar;
}

std::string_view field_text(std::span<const uint8_t> field) {
  std::string_view text(reinterpret_cast<const char*>(field.data()), field.size());
  return text.substr(0, text.find('\0'));
}

std::optional<int64_t> field_number(std::span<const uint8_t> field) {
  if ((field[0] & 0x80) != 0) return base256(field);
  // Some writers pad numbers with leading zero bytes; text ends at the first one after a digit.
  auto first = std::find_if(field.begin(), field.end(), [](uint8_t byte) { return byte != 0; });
  return octal(field_text(field.subspan(static_cast<size_t>(first - field.begin()))));
}

}  // namespace davit::layer
