#include "native/layer/tar_writer.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "native/layer/tar_block.h"

namespace davit::layer {
namespace {

constexpr size_t kNameLength = 100;
constexpr int64_t kMaxId = 07777777;
constexpr int64_t kMaxNumber = 077777777777;

bool fits(const std::string& text) {
  return text.size() <= kNameLength && std::all_of(text.begin(), text.end(), [](char c) {
           return static_cast<uint8_t>(c) < 0x80;
         });
}

// What an old program shows: the end of a name that does not fit is in the PAX header.
std::string ascii(const std::string& text) {
  std::string result;
  for (char c : text) {
    if (static_cast<uint8_t>(c) < 0x80 && result.size() < kNameLength) result += c;
  }
  return result;
}

void put_text(Block& block, size_t offset, size_t length, const std::string& text) {
  std::memcpy(block.bytes.data() + offset, text.data(), std::min(length, text.size()));
}

// Octal with a final zero byte; base-256 where that is too short, which the caller avoids by a PAX
// record where there is one.
void put_number(Block& block, size_t offset, size_t length, int64_t value) {
  if (value >= 0 && value < (int64_t{1} << (3 * (length - 1)))) {
    char digits[24];
    std::snprintf(digits, sizeof digits, "%0*llo", static_cast<int>(length - 1),
                  static_cast<unsigned long long>(value));
    put_text(block, offset, length, digits);
    return;
  }
  for (size_t i = 0; i < length; i++) {
    int64_t shifted = i < 8 ? value >> (8 * i) : value >> 63;
    block.bytes[offset + length - 1 - i] = static_cast<uint8_t>(shifted);
  }
  block.bytes[offset] |= 0x80;
}

void seal(Block& block) {
  std::memset(block.bytes.data() + 148, ' ', 8);
  unsigned sum = 0;
  for (uint8_t byte : block.bytes) sum += byte;
  char digits[8];
  std::snprintf(digits, sizeof digits, "%06o", sum);
  std::memcpy(block.bytes.data() + 148, digits, 7);
}

void add_record(std::string& body, const std::string& key, const std::string& value) {
  std::string rest = " " + key + "=" + value + "\n";
  size_t length = rest.size() + 1;
  while (std::to_string(length).size() + rest.size() > length) length++;
  body += std::to_string(length) + rest;
}

char flag_of(EntryType type) {
  switch (type) {
    case EntryType::kHardLink:
      return '1';
    case EntryType::kSymlink:
      return '2';
    case EntryType::kCharacterDevice:
      return '3';
    case EntryType::kBlockDevice:
      return '4';
    case EntryType::kDirectory:
      return '5';
    case EntryType::kFifo:
      return '6';
    default:
      return '0';
  }
}

}  // namespace

Result<> TarWriter::header(const Entry& entry) {
  DAVIT_TRY(pax(entry));
  return block(entry, flag_of(entry.type), ascii(entry.name), entry.size);
}

Result<> TarWriter::block(const Entry& entry, char type, const std::string& name, int64_t size) {
  bool extension = type == 'x';
  Block block;
  auto clipped = [](int64_t value, int64_t high) { return value > high ? 0 : value; };
  put_text(block, 0, kNameLength, name);
  put_number(block, 100, 8, extension ? 0 : entry.mode);
  put_number(block, 108, 8, extension ? 0 : clipped(entry.uid, kMaxId));
  put_number(block, 116, 8, extension ? 0 : clipped(entry.gid, kMaxId));
  put_number(block, 124, 12, clipped(size, kMaxNumber));
  int64_t seconds = entry.modified.seconds;
  put_number(block, 136, 12, extension || seconds < 0 || seconds > kMaxNumber ? 0 : seconds);
  block.bytes[156] = static_cast<uint8_t>(type);
  if (!extension) put_text(block, 157, kNameLength, ascii(entry.link));
  put_text(block, 257, 8, std::string("ustar\00000", 8));
  put_number(block, 329, 8, extension ? 0 : entry.device_major);
  put_number(block, 337, 8, extension ? 0 : entry.device_minor);
  seal(block);
  return out_.write(block.bytes);
}

Result<> TarWriter::pax(const Entry& entry) {
  std::string body;  // keys in alphabetical order
  for (const auto& [key, value] : entry.xattrs) add_record(body, "SCHILY.xattr." + key, value);
  if (entry.gid > kMaxId) add_record(body, "gid", std::to_string(entry.gid));
  if (!fits(entry.link)) add_record(body, "linkpath", entry.link);
  if (entry.modified.seconds < 0 || entry.modified.seconds > kMaxNumber) {
    add_record(body, "mtime", std::to_string(entry.modified.seconds));
  }
  if (!fits(entry.name)) add_record(body, "path", entry.name);
  if (entry.size > kMaxNumber) add_record(body, "size", std::to_string(entry.size));
  if (entry.uid > kMaxId) add_record(body, "uid", std::to_string(entry.uid));
  if (body.empty()) return {};

  std::string name =
      entry.name.ends_with('/') ? entry.name.substr(0, entry.name.size() - 1) : entry.name;
  size_t slash = name.rfind('/');
  std::string parent = slash == std::string::npos ? "" : name.substr(0, slash + 1);
  name = ascii(parent + "PaxHeaders.0/" + name.substr(parent.size()));
  DAVIT_TRY(block(entry, 'x', name, static_cast<int64_t>(body.size())));
  DAVIT_TRY(out_.write({reinterpret_cast<const uint8_t*>(body.data()), body.size()}));
  return out_.zeros(static_cast<size_t>(padding_after(static_cast<int64_t>(body.size()))));
}

Result<> TarWriter::data(int fd, int64_t size, const Cancel& cancel) {
  for (int64_t left = size; left > 0;) {
    DAVIT_TRY(cancel.check());
    DAVIT_ASSIGN(std::span<uint8_t> room,
                 out_.space(static_cast<size_t>(std::min<int64_t>(left, 1 << 20))));
    ssize_t got = read(fd, room.data(), room.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno("read");
    if (got == 0) return fail(EAGAIN, "file became shorter while it was read");
    out_.filled(static_cast<size_t>(got));
    left -= got;
  }
  return out_.zeros(static_cast<size_t>(padding_after(size)));
}

Result<> TarWriter::end() {
  return out_.zeros(2 * kBlockSize);
}

}  // namespace davit::layer
