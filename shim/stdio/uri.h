// Where a stdio stream goes, as clients name it: "" (nowhere), a path or fifo://, file://,
// binary://, binary-v2://.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "native/kernel/result.h"

namespace davit::shim {

enum class Scheme { kNull, kFifo, kFile, kBinary, kBinaryV2 };

struct StdioUri {
  Scheme scheme = Scheme::kNull;
  std::string path;
  std::vector<std::string> arguments;  // of a binary: `?k=v&l` becomes k v l
};

Result<StdioUri> parse_stdio_uri(std::string_view text);

}  // namespace davit::shim
