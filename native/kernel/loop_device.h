// Loop devices: such that detach themselves when their last user is gone, and such that stay.
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

// The same, but it stays until detach_at(), and `link`, which is made, leads to it. Whoever is
// killed in between leaves no device attached.
Result<> attach_at(const std::string& file, bool read_only, const std::string& link);

// Detaches what attach_at() left at `link`, at the latest when its last user is gone, and removes
// the link. A device that is free, or somebody else's by now, is left alone; no link is success.
Result<> detach_at(const std::string& link);

}  // namespace davit::loop_device
