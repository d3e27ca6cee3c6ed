// TarBuilder: archives for tests, written header by header so that they can also be wrong.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

namespace davit::layer::testing {

struct Header {
  std::string name;
  char type = '0';
  std::string link = "";
  uint32_t mode = 0644;
  int64_t mtime = 1000;
  uint32_t uid = 0;
  uint32_t gid = 0;
  uint32_t major = 0;
  uint32_t minor = 0;
};

class TarBuilder {
 public:
  TarBuilder& add(const Header& header, const std::string& content = "") {
    bytes_ += block(header, content.size());
    return data(content);
  }
  TarBuilder& file(const std::string& name, const std::string& content, uint32_t mode = 0644) {
    return add({.name = name, .mode = mode}, content);
  }
  TarBuilder& dir(const std::string& name, uint32_t mode = 0755, int64_t mtime = 1000) {
    return add({.name = name, .type = '5', .mode = mode, .mtime = mtime});
  }
  TarBuilder& symlink(const std::string& name, const std::string& target) {
    return add({.name = name, .type = '2', .link = target, .mode = 0777});
  }
  TarBuilder& hard_link(const std::string& name, const std::string& target, uint32_t mode = 0644) {
    return add({.name = name, .type = '1', .link = target, .mode = mode});
  }
  // A PAX header for the entry that follows; `type` g for a global one.
  TarBuilder& pax(const std::vector<std::pair<std::string, std::string>>& records,
                  char type = 'x') {
    std::string body;
    for (const auto& [key, value] : records) {
      std::string rest = " " + key + "=" + value + "\n";
      size_t length = rest.size() + 1;
      while (std::to_string(length).size() + rest.size() != length) length++;
      body += std::to_string(length) + rest;
    }
    return add({.name = "pax", .type = type}, body);
  }
  // GNU's long name (L) or long link (K) for the entry that follows.
  TarBuilder& gnu_long(char type, const std::string& text) {
    return add({.name = "././@LongLink", .type = type}, text + '\0');
  }
  TarBuilder& data(const std::string& content) {
    bytes_ += content;
    bytes_.append(-content.size() & 511, '\0');
    return *this;
  }
  TarBuilder& raw(const std::string& bytes) {
    bytes_ += bytes;
    return *this;
  }
  // With the two zero blocks that end an archive.
  std::string end() const { return bytes_ + std::string(1024, '\0'); }
  std::string open_ended() const { return bytes_; }

  static std::string block(const Header& header, uint64_t size) {
    std::string block(512, '\0');
    auto text = [&](size_t offset, size_t length, const std::string& value) {
      block.replace(offset, std::min(value.size(), length), value.substr(0, length));
    };
    auto octal = [&](size_t offset, size_t length, uint64_t value) {
      char digits[32];
      std::snprintf(digits, sizeof digits, "%0*llo", static_cast<int>(length - 1),
                    static_cast<unsigned long long>(value));
      text(offset, length, digits);
    };
    text(0, 100, header.name);
    octal(100, 8, header.mode);
    octal(108, 8, header.uid);
    octal(116, 8, header.gid);
    octal(124, 12, size);
    octal(136, 12, static_cast<uint64_t>(header.mtime));
    block[156] = header.type;
    text(157, 100, header.link);
    text(257, 8, std::string("ustar\00000", 8));
    octal(329, 8, header.major);
    octal(337, 8, header.minor);
    seal(block);
    return block;
  }
  // Writes the checksum anew after a test has changed a header.
  static void seal(std::string& block) {
    block.replace(148, 8, "        ");
    unsigned sum = 0;
    for (unsigned char byte : block) sum += byte;
    char digits[8];
    std::snprintf(digits, sizeof digits, "%06o", sum);
    block.replace(148, 7, std::string(digits, 7));
  }

 private:
  std::string bytes_;
};

}  // namespace davit::layer::testing
