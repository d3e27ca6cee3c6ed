// What davit-oci says when something is wrong, in the two forms that callers of OCI runtimes read:
// `time="..." level=error msg="..."` or one JSON object a line.
#pragma once

#include <string>
#include <string_view>

#include "native/kernel/result.h"

namespace davit::oci_cli {

// Empty path: standard error.
Result<> open_log(const std::string& path, bool json, bool debug);

void log_warning(std::string_view text);
void log_debug(std::string_view text);
// Also to standard error when the log is elsewhere.
void log_error(std::string_view text);

// For tests: the line without its end.
std::string log_line(bool json, std::string_view level, std::string_view text,
                     std::string_view time);

}  // namespace davit::oci_cli
