// What the layers of an overlay have under a name, as overlayfs merges it.
#pragma once

#include <string>
#include <vector>

#include "native/kernel/fd.h"
#include "native/kernel/result.h"
#include "native/layer/metadata.h"

namespace davit::layer {

// The directory `name` in `parent`; ENOTDIR or ELOOP where it is a link.
Fd open_directory(int parent, const std::string& name);

enum class Presence { kAbsent, kDirectory, kSymlink, kOther };

// Opens what the directories `lowers`, the topmost first, contribute to the directory `name`: none
// behind one that hides the rest. Returns what the topmost that has something there has.
Result<Presence> open_lower_dirs(const std::vector<Fd>& lowers, const std::string& name,
                                 OverlayMarks marks, std::vector<Fd>* opened);

}  // namespace davit::layer
