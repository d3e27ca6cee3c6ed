// The passwd file of an image: untrusted text.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

namespace davit::oci {

// The home of a user in the text of a passwd file, "/" when it names none.
std::string home_in_passwd(std::string_view passwd, uid_t uid);

}  // namespace davit::oci
