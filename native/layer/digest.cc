#include "native/layer/digest.h"

namespace davit::layer {

Sha256::Raw Sha256::finish_raw() {
  Raw raw;
  nettle_sha256_digest(&state_, raw.size(), raw.data());
  return raw;
}

std::string Sha256::finish() {
  constexpr char kHex[] = "0123456789abcdef";
  std::string text = "sha256:";
  for (uint8_t byte : finish_raw()) {
    text += kHex[byte >> 4];
    text += kHex[byte & 15];
  }
  return text;
}

}  // namespace davit::layer
