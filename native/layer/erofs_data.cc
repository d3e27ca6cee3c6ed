#include "native/layer/erofs_data.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "native/layer/copy_range.h"

namespace davit::layer {
namespace {

using erofs::kBlock;
using erofs::kBlockBits;

// As many chunks as a block lists: a file of nothing but holes takes no more than another.
constexpr uint64_t kMostChunks = kBlock / sizeof(uint32_t);

off_t offset_of(uint32_t block) {
  return static_cast<off_t>(block) << kBlockBits;
}

Result<> read_tail(int from, uint64_t at, std::vector<uint8_t>& tail) {
  for (size_t done = 0; done < tail.size();) {
    ssize_t got =
        pread(from, tail.data() + done, tail.size() - done, static_cast<off_t>(at + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno("read file data");
    if (got == 0) return {};
    done += static_cast<size_t>(got);
  }
  return {};
}

Result<ErofsData> write_flat(int from, uint64_t size, size_t head, ErofsFile& file) {
  ErofsData data;
  uint64_t rest = size % kBlock;
  if (head + rest > kBlock) rest = 0;
  uint64_t whole = size - rest;
  if (whole > 0) {
    DAVIT_ASSIGN(data.data, file.take_blocks((whole + kBlock - 1) / kBlock));
    DAVIT_TRY(copy_range(from, 0, file.fd(), offset_of(data.data), static_cast<off_t>(whole)));
  }
  if (rest > 0) {
    data.layout = erofs::Layout::kInline;
    data.tail.resize(rest);
    DAVIT_TRY(read_tail(from, whole, data.tail));
  }
  return data;
}

// Copies what is between two holes, chunk by chunk.
Result<> copy_extent(int from, uint64_t begin, uint64_t end, uint64_t size, unsigned bits,
                     std::vector<uint32_t>& chunks, ErofsFile& file) {
  for (uint64_t at = begin; at < end;) {
    uint64_t start = at >> bits << bits;
    uint64_t next = std::min(end, start + (uint64_t{1} << bits));
    uint32_t& chunk = chunks[at >> bits];
    if (chunk == erofs::kHole) {
      uint64_t bytes = std::min(size - start, uint64_t{1} << bits);
      DAVIT_ASSIGN(chunk, file.take_blocks((bytes + kBlock - 1) / kBlock));
    }
    off_t to = offset_of(chunk) + static_cast<off_t>(at - start);
    DAVIT_TRY(
        copy_range(from, static_cast<off_t>(at), file.fd(), to, static_cast<off_t>(next - at)));
    at = next;
  }
  return {};
}

Result<ErofsData> write_chunks(int from, uint64_t size, ErofsFile& file) {
  unsigned bits = kBlockBits;
  while (((size - 1) >> bits) >= kMostChunks) bits++;
  if (bits > erofs::kMostChunkBits)
    return fail(EFBIG, "a file of more than 8 PiB in an EROFS image");
  std::vector<uint32_t> chunks(((size - 1) >> bits) + 1, erofs::kHole);
  for (uint64_t at = 0; at < size;) {
    off_t begin = lseek(from, static_cast<off_t>(at), SEEK_DATA);
    if (begin < 0 && errno == ENXIO) break;
    if (begin < 0) return fail_errno("find data");
    off_t end = lseek(from, begin, SEEK_HOLE);
    if (end < 0) return fail_errno("find hole");
    if (static_cast<uint64_t>(begin) >= size) break;
    at = std::min(static_cast<uint64_t>(end), size);
    DAVIT_TRY(copy_extent(from, static_cast<uint64_t>(begin), at, size, bits, chunks, file));
  }
  ErofsData data{erofs::Layout::kChunks, bits - static_cast<unsigned>(kBlockBits), {}};
  data.tail.resize(chunks.size() * sizeof(uint32_t));
  std::memcpy(data.tail.data(), chunks.data(), data.tail.size());
  return data;
}

}  // namespace

Result<ErofsData> write_erofs_data(int from, uint64_t size, bool sparse, size_t head,
                                   ErofsFile& file) {
  if (size == 0) return ErofsData{};
  // A file system that cannot tell holes says there are none.
  off_t hole = sparse ? lseek(from, 0, SEEK_HOLE) : -1;
  if (hole >= 0 && static_cast<uint64_t>(hole) < size) return write_chunks(from, size, file);
  return write_flat(from, size, head, file);
}

}  // namespace davit::layer
