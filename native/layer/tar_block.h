// Block: the 512 bytes of a tar header, and how numbers and strings stand in them.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace davit::layer {

constexpr size_t kBlockSize = 512;

struct Block {
  std::array<uint8_t, kBlockSize> bytes{};

  std::span<const uint8_t> field(size_t offset, size_t length) const {
    return std::span(bytes).subspan(offset, length);
  }
  bool is_zero() const;
  // Whether the stored checksum matches; old programs summed signed bytes.
  bool checksum_matches() const;
};

// Which extensions of the 1979 layout a header uses.
enum class Dialect { kV7, kUstar, kStar, kGnu };
Dialect dialect_of(const Block& block);

// A string that ends at the first zero byte or fills its field.
std::string_view field_text(std::span<const uint8_t> field);

// Octal text, or base-256 when the first bit is set (then negative numbers are possible). An empty
// field is 0; nothing when it is neither or exceeds 64 bits.
std::optional<int64_t> field_number(std::span<const uint8_t> field);

// The bytes that fill the last block after `size` bytes.
constexpr int64_t padding_after(int64_t size) {
  return -size & static_cast<int64_t>(kBlockSize - 1);
}

}  // namespace davit::layer
