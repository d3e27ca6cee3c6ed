// Sha256: the running digest of a stream, through nettle, which uses the processor's SHA
// extensions.
#pragma once

#include <nettle/sha2.h>

#include <array>
#include <cstdint>
#include <span>
#include <string>

namespace davit::layer {

class Sha256 {
 public:
  Sha256() { nettle_sha256_init(&state_); }
  void update(std::span<const uint8_t> bytes) {
    nettle_sha256_update(&state_, bytes.size(), bytes.data());
  }
  using Raw = std::array<uint8_t, SHA256_DIGEST_SIZE>;
  // The digest of everything so far; starts over.
  Raw finish_raw();
  // The same as `sha256:` and 64 lower-case hexadecimal digits.
  std::string finish();

 private:
  sha256_ctx state_;
};

}  // namespace davit::layer
