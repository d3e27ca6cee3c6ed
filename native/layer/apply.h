// Applying a layer: a blob's entries written into a directory.
//
// The content of a layer is untrusted. Nothing outside the root is read or written, whatever names,
// links and whiteouts the archive holds; a name with `..` stays within the root, as containerd
// clamps it. What an entry replaces is removed first, directories are merged, and missing parents
// are made with mode 0755.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "native/layer/cancel.h"
#include "native/layer/decompress.h"
#include "native/layer/metadata.h"
#include "native/layer/usage.h"

namespace davit::layer {

struct ApplyOptions {
  // The directory to write to. For an overlay its upper directory, and `lowers` what is below it,
  // topmost first; deletions then become whiteouts and opaque marks instead of removals. An overlay
  // without lowers is one whose lower layers are not known yet.
  std::string root{};
  std::vector<std::string> lowers{};
  bool overlay = false;
  OverlayMarks marks{};

  int64_t max_size = -1;     // of the unpacked archive; < 0 is no limit
  int64_t max_entries = -1;  // < 0 is no limit
  bool sync = false;         // have everything on disk before returning
};

struct ApplySummary {
  std::string digest;  // of the whole unpacked stream, bytes behind the archive's end included
  int64_t size = 0;    // of that stream
  int64_t entries = 0;
  // Whiteouts and opaque directories.
  int64_t marked = 0;
  // For an overlay without lowers: what settle() has to know. Without it the layer cannot be
  // settled.
  std::optional<std::string> deferred{};
  // What the root holds now, as disk_usage() finds it but for what file systems take beside blocks
  // of files and directories. Without it only the tree tells.
  std::optional<Usage> usage{};
};

// On failure the root holds a part of the layer and must be thrown away. Errors name the entry.
// EBADMSG: not a whole, valid archive; EFBIG: a limit; ECANCELED.
Result<ApplySummary> apply(Fd blob, int64_t offset, int64_t length, Compression compression,
                           const ApplyOptions& options, const Cancel& cancel);

// Whether a layer that was applied to an overlay without lowers can go on top of `lowers`: makes
// it what it would be had it been applied there. `deferred` is what applying it has told.
// Directories that an entry needed get the looks of those below, others the attributes that they
// would have inherited. It cannot go there when something would be elsewhere (an entry needed a
// directory, and below is a link), or only applying tells what would have been inherited. Nothing
// in `lowers` is changed; after a no the root is to be thrown away.
Result<bool> settle(const std::string& root, const std::vector<std::string>& lowers,
                    const std::string& deferred, OverlayMarks marks, const Cancel& cancel);

}  // namespace davit::layer
