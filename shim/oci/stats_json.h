// A container's statistics as `events` prints them: the members that runc's users read.
#pragma once

#include <string>

#include "native/oci/stats.h"

namespace davit::oci_cli {

std::string stats_json(const oci::Stats& stats);

}  // namespace davit::oci_cli
