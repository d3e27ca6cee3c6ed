#include "native/oci/json_text.h"

namespace davit::oci::json {

std::string quote(std::string_view text) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += "\\u00";
      out += kHex[(c >> 4) & 1];
      out += kHex[c & 15];
    } else {
      out += c;
    }
  }
  return out += '"';
}

}  // namespace davit::oci::json
