// Writing JSON: the little that state.json and hooks need.
#pragma once

#include <string>
#include <string_view>

namespace davit::oci::json {

// `text` as a JSON string. Bytes that are not UTF-8 go through as they are.
std::string quote(std::string_view text);

}  // namespace davit::oci::json
