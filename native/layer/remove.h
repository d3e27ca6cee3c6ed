// Recursive removal by descriptor.
#pragma once

#include <string>

#include "native/kernel/result.h"
#include "native/layer/cancel.h"

namespace davit::layer {

// Removes `name` in the directory `parent`, whatever it is, with all that is below; absent is
// success. Symbolic links are removed, never followed. A mount point below is EBUSY and stops the
// removal, so the content of a forgotten mount is never touched. `label` names `parent` in errors.
Result<> remove_tree(int parent, const std::string& name, const std::string& label,
                     const Cancel& cancel);

// Removes everything in the directory `fd`, not the directory itself.
Result<> remove_contents(int fd, const std::string& label, const Cancel& cancel);

}  // namespace davit::layer
