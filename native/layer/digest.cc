#include "native/layer/digest.h"

namespace davit::layer {

std::string Sha256::finish() {
  constexpr char kHex[] = "0123456789abcdef";
  uint8_t raw[SHA256_DIGEST_SIZE];
  nettle_sha256_digest(&state_, sizeof raw, raw);
  std::string text = "sha256:";
  for (uint8_t byte : raw) {
    text += kHex[byte >> 4];
    text += kHex[byte & 15];
  }
  return text;
}

}  // namespace davit::layer
