// Whether a file is still what it was.
#pragma once

#include <sys/stat.h>

#include <string>

#include "native/kernel/result.h"
#include "native/layer/cancel.h"

namespace davit::layer {

// One side of a comparison: `name` in the directory `parent`, and its lstat.
struct Side {
  int parent;
  const struct stat& info;
};

// Compares what a layer records of a file. Content is read only when the times cannot tell.
Result<bool> same_file(const std::string& name, const Side& left, const Side& right,
                       const Cancel& cancel);

}  // namespace davit::layer
