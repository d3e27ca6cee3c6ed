// Whether a directory's file system can hold an overlay's upper layer.
#pragma once

#include <string>

#include "native/kernel/result.h"

namespace davit {

struct OverlaySupport {
  bool supported = false;
  std::string reason;       // why not
  bool user_xattr = false;  // overlays here need the option userxattr
};

// Tries it: makes a directory of its own in `directory`, mounts an overlay there and removes both.
// Changes the calling thread's mounts for a moment only.
Result<OverlaySupport> probe_overlay(const std::string& directory);

}  // namespace davit
