// Copying a directory tree as it is.
#pragma once

#include <string>

#include "native/kernel/result.h"
#include "native/layer/cancel.h"

namespace davit::layer {

// Copies everything below the directory `from`, and its own owner, mode, attributes and times, into
// the existing, empty directory `to`. Hard links stay links of each other, holes stay holes,
// sockets are left out, and file content is shared where the file system can (reflinks). Other file
// systems mounted below `from` are EXDEV.
Result<> copy_tree(const std::string& from, const std::string& to, const Cancel& cancel);

}  // namespace davit::layer
