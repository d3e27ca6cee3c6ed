// Making an EROFS image of a directory tree.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "native/kernel/fd.h"
#include "native/kernel/result.h"
#include "native/layer/cancel.h"
#include "native/layer/tar_entry.h"

namespace davit::layer {

struct ErofsOptions {
  std::optional<Time> epoch{};  // no time in the image is later
  bool digest = false;          // read the image again for it
};

struct ErofsSummary {
  int64_t size = 0;    // of the image
  std::string digest;  // of the image; "" unless asked for
};

// Writes the directory `root`, and all below it, into the empty file `file`: type, owner, mode,
// mtime to the nanosecond, device numbers, hard links, holes and attributes, overlayfs's marks and
// whiteouts too, so that the image can be a lower layer where `root` was an upper one. The same
// tree gives the same bytes. Not compressed; nothing is synced. Other file systems mounted below
// `root` are EXDEV. EFBIG, E2BIG: more than the format can hold.
Result<ErofsSummary> make_erofs(const std::string& root, Fd file, const ErofsOptions& options,
                                const Cancel& cancel);

}  // namespace davit::layer
