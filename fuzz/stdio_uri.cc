// Where a client wants a process's streams.
#include "fuzz/target.h"
#include "shim/stdio/uri.h"

using namespace davit;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto uri = shim::parse_stdio_uri(fuzz::text_of(data, size));
  if (uri) fuzz::claim((uri->scheme == shim::Scheme::kNull) == uri->path.empty());
  return 0;
}
