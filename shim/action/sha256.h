// SHA-256 in hexadecimal, for names of sockets.
#pragma once

#include <string>
#include <string_view>

namespace davit::shim {

std::string sha256_hex(std::string_view text);

}  // namespace davit::shim
