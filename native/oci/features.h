// What the executor knows how to do, for those who choose a runtime by it.
#pragma once

#include <string>
#include <string_view>

namespace davit::oci {

// The features structure of the OCI runtime-spec as JSON; `version` is the program's.
std::string features_json(std::string_view version);

}  // namespace davit::oci
