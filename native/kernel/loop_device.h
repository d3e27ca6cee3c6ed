// Loop devices that detach themselves when their last user is gone.
#pragma once

#include <string>

#include "native/kernel/fd.h"
#include "native/kernel/result.h"

namespace davit::loop_device {

struct Attached {
  std::string path;  // /dev/loopN
  Fd fd;             // closing it detaches the device unless a mount holds it by then
};

// Attaches the regular file `file` to a free loop device.
Result<Attached> attach(const std::string& file, bool read_only);

}  // namespace davit::loop_device
