#include "shim/action/sha256.h"

#include <array>
#include <bit>
#include <cstdint>

namespace davit::shim {

namespace {

constexpr bool is_prime(uint32_t n) {
  for (uint32_t d = 2; d * d <= n; d++) {
    if (n % d == 0) return false;
  }
  return true;
}

// The first 32 bits of the fraction of `n`'s square or cube root, found exactly in integers:
// the largest r with r^power <= n * 2^(32 * power).
constexpr uint32_t root_fraction(uint32_t n, int power) {
  unsigned __int128 low = 0;
  unsigned __int128 high = (unsigned __int128)1 << 40;
  while (high - low > 1) {
    const unsigned __int128 middle = (low + high) / 2;
    // Compared as middle^power / 2^(32 * (power - 1)) <= n * 2^32 with 128-bit products.
    bool above = false;
    if (power == 2) {
      above = middle * middle > (unsigned __int128)n << 64;
    } else {
      above = middle * middle * middle > (unsigned __int128)n << 96;
    }
    (above ? high : low) = middle;
  }
  return static_cast<uint32_t>(low);
}

template <size_t N>
constexpr std::array<uint32_t, N> constants(int power) {
  std::array<uint32_t, N> out{};
  uint32_t n = 2;
  for (auto& value : out) {
    while (!is_prime(n)) n++;
    value = root_fraction(n++, power);
  }
  return out;
}

constexpr auto kRound = constants<64>(3);
constexpr auto kInitial = constants<8>(2);

void add_block(std::array<uint32_t, 8>& state, const unsigned char* block) {
  uint32_t w[64];
  for (int i = 0; i < 16; i++) {
    w[i] = uint32_t{block[4 * i]} << 24 | uint32_t{block[4 * i + 1]} << 16 |
           uint32_t{block[4 * i + 2]} << 8 | block[4 * i + 3];
  }
  for (int i = 16; i < 64; i++) {
    const uint32_t s0 = std::rotr(w[i - 15], 7) ^ std::rotr(w[i - 15], 18) ^ (w[i - 15] >> 3);
    const uint32_t s1 = std::rotr(w[i - 2], 17) ^ std::rotr(w[i - 2], 19) ^ (w[i - 2] >> 10);
    w[i] = w[i - 16] + s0 + w[i - 7] + s1;
  }
  auto [a, b, c, d, e, f, g, h] = state;
  for (int i = 0; i < 64; i++) {
    const uint32_t s1 = std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25);
    const uint32_t t1 = h + s1 + ((e & f) ^ (~e & g)) + kRound[i] + w[i];
    const uint32_t s0 = std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22);
    const uint32_t t2 = s0 + ((a & b) ^ (a & c) ^ (b & c));
    h = g, g = f, f = e, e = d + t1, d = c, c = b, b = a, a = t1 + t2;
  }
  const uint32_t sums[8] = {a, b, c, d, e, f, g, h};
  for (int i = 0; i < 8; i++) state[i] += sums[i];
}

}  // namespace

std::string sha256_hex(std::string_view text) {
  std::string padded(text);
  padded.push_back('\x80');
  while (padded.size() % 64 != 56) padded.push_back('\0');
  for (int shift = 56; shift >= 0; shift -= 8) {
    padded.push_back(static_cast<char>(uint64_t{text.size()} * 8 >> shift));
  }
  std::array<uint32_t, 8> state = kInitial;
  for (size_t at = 0; at < padded.size(); at += 64) {
    add_block(state, reinterpret_cast<const unsigned char*>(padded.data()) + at);
  }
  std::string hex;
  for (const uint32_t word : state) {
    for (int shift = 28; shift >= 0; shift -= 4)
      hex.push_back("0123456789abcdef"[word >> shift & 15]);
  }
  return hex;
}

}  // namespace davit::shim
