// An archive in a file, such as an image's: what is where in it, and parts of it elsewhere. The
// data of its members is read only when it is copied.
#pragma once

#include <string>
#include <vector>

#include "native/kernel/fd.h"
#include "native/layer/cancel.h"
#include "native/layer/tar_entry.h"

namespace davit::layer {

struct Member {
  EntryType type = EntryType::kRegular;
  std::string name;  // as in the archive: untrusted, not cleaned
  std::string link;
  int64_t offset = 0;  // of the data, in the file
  int64_t size = 0;
};

// The members of an uncompressed tar archive, in its order. `EBADMSG`: not one; `EFBIG`: more than
// `max_members`; `ENAMETOOLONG`; `ENOTSUP`: a sparse member, whose data is not in one piece.
Result<std::vector<Member>> list_archive(const Fd& file, size_t max_members, const Cancel& cancel);

// Appends `size` bytes at `offset` of `file` to `out`, and returns their digest. `EBADMSG`: `file`
// ends before.
Result<std::string> copy_part(const Fd& file, int64_t offset, int64_t size, const Fd& out,
                              const Cancel& cancel);

}  // namespace davit::layer
