#include "native/kernel/pb.h"

#include <cstring>

namespace davit::pb {

bool Reader::read_varint(uint64_t& out) {
  out = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    if (at_ == end_) return bad();
    const auto byte = static_cast<uint8_t>(*at_++);
    out |= uint64_t{byte & 0x7fu} << shift;
    if ((byte & 0x80) == 0) return true;
  }
  return bad();
}

bool Reader::next() {
  if (!ok_ || at_ == end_) return false;
  uint64_t key = 0;
  if (!read_varint(key)) return false;
  if ((key >> 3) == 0 || (key >> 3) > 0x1fffffff) return bad();
  field_ = static_cast<uint32_t>(key >> 3);
  number_ = 0;
  bytes_ = {};
  const auto left = static_cast<size_t>(end_ - at_);
  switch (key & 7) {
    case 0:
      wire_ = Wire::kVarint;
      return read_varint(number_);
    case 1:
      if (left < 8) return bad();
      wire_ = Wire::kFixed64;
      at_ += 8;
      return true;
    case 5:
      if (left < 4) return bad();
      wire_ = Wire::kFixed32;
      at_ += 4;
      return true;
    case 2: {
      uint64_t size = 0;
      if (!read_varint(size)) return false;
      if (size > static_cast<size_t>(end_ - at_)) return bad();
      wire_ = Wire::kBytes;
      bytes_ = {at_, static_cast<size_t>(size)};
      at_ += size;
      return true;
    }
    default:
      return bad();
  }
}

std::string_view Reader::bytes() {
  if (wire_ != Wire::kBytes) ok_ = false;
  return bytes_;
}

uint64_t Reader::varint() {
  if (wire_ != Wire::kVarint) ok_ = false;
  return number_;
}

void Writer::raw(uint64_t value) {
  while (value >= 0x80) {
    out_.push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  out_.push_back(static_cast<char>(value));
}

void Writer::varint(uint32_t field, uint64_t value) {
  if (value != 0) varint_always(field, value);
}

void Writer::varint_always(uint32_t field, uint64_t value) {
  key(field, Wire::kVarint);
  raw(value);
}

void Writer::fixed_double(uint32_t field, double value) {
  if (value == 0) return;
  key(field, Wire::kFixed64);
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  for (int i = 0; i < 8; i++) out_.push_back(static_cast<char>(bits >> (8 * i)));
}

void Writer::bytes(uint32_t field, std::string_view value) {
  if (!value.empty()) bytes_always(field, value);
}

void Writer::bytes_always(uint32_t field, std::string_view value) {
  key(field, Wire::kBytes);
  raw(value.size());
  out_.append(value);
}

void Writer::text(uint32_t field, std::string_view value) {
  bytes(field, valid_utf8(value));
}

namespace {

// Length of the valid UTF-8 sequence that starts at text[0], or 0 when there is none.
size_t sequence_length(std::string_view text) {
  const auto lead = static_cast<uint8_t>(text[0]);
  if (lead < 0x80) return 1;
  size_t length = 0;
  uint32_t point = 0;
  uint32_t least = 0;
  if ((lead & 0xe0) == 0xc0) {
    length = 2, point = lead & 0x1f, least = 0x80;
  } else if ((lead & 0xf0) == 0xe0) {
    length = 3, point = lead & 0x0f, least = 0x800;
  } else if ((lead & 0xf8) == 0xf0) {
    length = 4, point = lead & 0x07, least = 0x10000;
  }
  if (length == 0 || text.size() < length) return 0;
  for (size_t i = 1; i < length; i++) {
    const auto byte = static_cast<uint8_t>(text[i]);
    if ((byte & 0xc0) != 0x80) return 0;
    point = point << 6 | (byte & 0x3f);
  }
  const bool surrogate = point >= 0xd800 && point <= 0xdfff;
  return point < least || point > 0x10ffff || surrogate ? 0 : length;
}

}  // namespace

std::string valid_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const size_t length = sequence_length(text);
    out.append(length == 0 ? std::string_view("?") : text.substr(0, length));
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return out;
}

}  // namespace davit::pb
