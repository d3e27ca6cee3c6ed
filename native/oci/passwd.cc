#include "native/oci/passwd.h"

#include <algorithm>

namespace davit::oci {

std::string home_in_passwd(std::string_view passwd, uid_t uid) {
  while (!passwd.empty()) {
    std::string_view line = passwd.substr(0, passwd.find('\n'));
    passwd.remove_prefix(std::min(passwd.size(), line.size() + 1));
    std::string_view fields[7];
    std::size_t count = 0;
    for (; count < 7; ++count) {
      std::size_t colon = line.find(':');
      fields[count] = line.substr(0, colon);
      if (colon == std::string_view::npos) break;
      line.remove_prefix(colon + 1);
    }
    if (count == 6 && fields[2] == std::to_string(uid) && !fields[5].empty())
      return std::string(fields[5]);
  }
  return "/";
}

}  // namespace davit::oci
