// The passwd file of an image. The first line is the user whose home is looked for.
#include <string>

#include "fuzz/target.h"
#include "native/oci/passwd.h"

using namespace davit;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view rest = fuzz::text_of(data, size);
  unsigned uid = 0;
  for (char digit : fuzz::cut(rest, '\n')) uid = uid * 10 + static_cast<unsigned char>(digit - '0');
  std::string home = oci::home_in_passwd(rest, uid);
  fuzz::claim(!home.empty() && home.find('\n') == std::string::npos &&
              home.find(':') == std::string::npos);
  return 0;
}
