// TarWriter: entries into a POSIX (PAX) archive.
//
// A PAX header is written only where the ustar header cannot hold a value: long or non-ASCII names,
// large numbers, attributes. Times have whole seconds.
#pragma once

#include "native/layer/blob_writer.h"
#include "native/layer/tar_entry.h"

namespace davit::layer {

class TarWriter {
 public:
  explicit TarWriter(BlobWriter& out) : out_(out) {}

  // The header of `entry`; `entry.size` bytes of a regular file's data follow through data().
  Result<> header(const Entry& entry);
  // Copies `size` bytes of `fd` and pads them; EAGAIN if the file has become shorter.
  Result<> data(int fd, int64_t size, const Cancel& cancel);
  // The two blocks that end an archive.
  Result<> end();

 private:
  Result<> block(const Entry& entry, char type, const std::string& name, int64_t size);
  Result<> pax(const Entry& entry);

  BlobWriter& out_;
};

}  // namespace davit::layer
