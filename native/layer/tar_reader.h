// TarReader: the entries of a tar stream, one after the other, and their data.
//
// Understands v7, ustar, star, GNU and PAX archives, long names and all four kinds of sparse files.
// Global PAX headers are read and ignored, as containerd does. The stream ends at two zero blocks,
// at one zero block that is the last, or between entries.
#pragma once

#include <optional>
#include <string>

#include "native/layer/byte_source.h"
#include "native/layer/pax.h"
#include "native/layer/tar_block.h"
#include "native/layer/tar_entry.h"

namespace davit::layer {

class TarReader {
 public:
  explicit TarReader(ChunkSource& source) : source_(source) {}

  // The next entry, skipping what is left of the one before; nothing at the end of the archive.
  Result<std::optional<Entry>> next();

  // A piece of the current entry's file, and where it belongs; empty at the end of the data.
  struct Piece {
    int64_t offset = 0;
    std::span<const uint8_t> bytes;
  };
  Result<Piece> data();
  // Bytes of the source's last chunk that were not looked at yet: the data of an entry that was
  // just returned begins there.
  size_t unread() const { return chunk_.size(); }

  // Most a PAX header or a GNU long name may hold, and most extents a sparse file may have.
  static constexpr int64_t kMaxExtension = 1024 * 1024;
  static constexpr size_t kMaxExtents = 256 * 1024;

 private:
  // What the headers before the real one said.
  struct Extensions {
    PaxRecords pax;
    std::string long_name;
    std::string long_link;
  };

  Result<bool> read_block(Block& block);
  Result<> read_bytes(std::span<uint8_t> out);
  Result<std::span<const uint8_t>> peek();
  Result<> skip(int64_t count);
  Result<std::string> read_extension(const Block& block);

  Result<Entry> make_entry(const Block& block, Extensions& extensions);
  Result<> read_sparse_map(const Block& block, const PaxRecords& pax, Entry& entry);
  Result<> read_old_gnu_map(const Block& block, Entry& entry);
  Result<> read_pax_1_0_map(Entry& entry);

  ChunkSource& source_;
  std::span<const uint8_t> chunk_;
  int64_t stored_left_ = 0;  // of the current entry's data in the archive
  int64_t padding_ = 0;      // after that data
  std::vector<Extent> extents_;
  size_t extent_ = 0;
  int64_t in_extent_ = 0;
};

}  // namespace davit::layer
