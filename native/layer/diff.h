// Computing a layer: what one tree has changed since another, as an OCI archive of changes.
//
// Entries come in the order of a sorted walk, each after its parents. What is gone is a file
// `.wh.NAME`. Files are the same when type, mode, owner, device, size, seconds of the modification
// time and capabilities are, and either their nanoseconds, or, where both have none, their content.
// Hard links within the changes stay links; sockets are left out. Of extended attributes only
// security.capability is kept, and times have whole seconds, as containerd writes them.
#pragma once

#include <optional>
#include <string>

#include "native/kernel/idmap.h"
#include "native/layer/blob_writer.h"
#include "native/layer/metadata.h"
#include "native/layer/tar_entry.h"

namespace davit::layer {

struct DiffOptions {
  // The tree before; empty: nothing was there.
  std::string left{};
  std::string right{};
  // `right` is an overlay's upper directory: its own marks say what has changed, and `left` is not
  // read. Fails with ENOTSUP if it holds marks (redirect, metacopy) that only a mount can follow.
  bool overlay = false;
  OverlayMarks marks{};
  // Not empty: files belong to the outside ids of a container, the layer gets those inside.
  kernel::IdMap uids{}, gids{};
  // No time is later, and deletions have this time instead of the current one.
  std::optional<Time> epoch{};
};

// Writes the layer at the file position of `out`.
Result<BlobSummary> diff(Fd out, Compression compression, const DiffOptions& options,
                         const Cancel& cancel);

}  // namespace davit::layer
