// What every fuzz target is made of: one function over bytes, and claims that abort when broken.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace davit::fuzz {

inline std::string_view text_of(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

// What must hold for every input.
inline void claim(bool holds) {
  if (!holds) std::abort();
}

// The part before the next `separator`, which it takes away from `rest`.
inline std::string_view cut(std::string_view& rest, char separator) {
  std::size_t at = rest.find(separator);
  std::string_view part = rest.substr(0, at);
  rest = at == std::string_view::npos ? std::string_view() : rest.substr(at + 1);
  return part;
}

}  // namespace davit::fuzz
