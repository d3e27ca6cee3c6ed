#include "native/layer/erofs_file.h"

#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "native/layer/erofs_format.h"

namespace davit::layer {
namespace {

using erofs::kBlock;
using erofs::kSlot;

constexpr uint64_t kMostBlocks = UINT32_MAX;
constexpr uint64_t kMostForInodes = 64;

uint64_t up(uint64_t value, uint64_t unit) {
  return (value + unit - 1) / unit * unit;
}

}  // namespace

Result<uint32_t> ErofsFile::take_blocks(uint64_t count) {
  if (count > kMostBlocks - blocks_) return fail(EFBIG, "an EROFS image of more than 16 TiB");
  uint64_t first = blocks_;
  blocks_ += count;
  return static_cast<uint32_t>(first);
}

Result<uint64_t> ErofsFile::take_slot(size_t size) {
  uint64_t at = up(slot_, kSlot);
  if (at / kBlock != (at + size - 1) / kBlock) at = up(at, kBlock);
  if (at + size > slots_end_) {
    uint64_t count = std::max(next_blocks_, up(size, kBlock) / kBlock);
    next_blocks_ = std::min(next_blocks_ * 2, kMostForInodes);
    DAVIT_ASSIGN(uint64_t first, take_blocks(count));
    at = first * kBlock;
    slots_end_ = at + count * kBlock;
  }
  slot_ = at + size;
  return at;
}

Result<> ErofsFile::write(uint64_t offset, std::span<const uint8_t> bytes) {
  return write(offset, bytes, {});
}

Result<> ErofsFile::write(uint64_t offset, std::span<const uint8_t> head,
                          std::span<const uint8_t> tail) {
  identity_.update(head);
  identity_.update(tail);
  while (!head.empty() || !tail.empty()) {
    iovec parts[2] = {{const_cast<uint8_t*>(head.data()), head.size()},
                      {const_cast<uint8_t*>(tail.data()), tail.size()}};
    ssize_t put = pwritev(fd(), parts, 2, static_cast<off_t>(offset));
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return fail_errno("write EROFS image");
    offset += static_cast<uint64_t>(put);
    size_t of_head = std::min(head.size(), static_cast<size_t>(put));
    head = head.subspan(of_head);
    tail = tail.subspan(static_cast<size_t>(put) - of_head);
  }
  return {};
}

Result<int64_t> ErofsFile::finish(uint64_t root_offset, uint64_t inodes, bool chunked) {
  // Blocks taken for inodes that did not come.
  if (slots_end_ == blocks_ * kBlock) blocks_ = up(slot_, kBlock) / kBlock;
  erofs::Superblock super{};
  super.magic = erofs::kMagic;
  super.compat = erofs::kCompatMtime;
  super.block_bits = erofs::kBlockBits;
  super.root = static_cast<uint16_t>(root_offset / kSlot);
  super.inodes = inodes;
  super.blocks = static_cast<uint32_t>(blocks_);
  super.incompat = chunked ? erofs::kIncompatChunked : 0;
  // overlayfs tells its layers apart by this.
  Sha256::Raw identity = identity_.finish_raw();
  std::memcpy(super.uuid, identity.data(), sizeof super.uuid);
  super.uuid[6] = static_cast<uint8_t>((super.uuid[6] & 0x0F) | 0x80);  // version 8: our own
  super.uuid[8] = static_cast<uint8_t>((super.uuid[8] & 0x3F) | 0x80);
  DAVIT_TRY(write(erofs::kSuperOffset, {reinterpret_cast<const uint8_t*>(&super), sizeof super}));
  auto size = static_cast<int64_t>(blocks_ * kBlock);
  if (ftruncate(fd(), size) < 0) return fail_errno("set size of EROFS image");
  return size;
}

}  // namespace davit::layer
