// EROFS on disk, as far as our images use it: https://erofs.docs.kernel.org. Little-endian, so are
// the machines that this is built for.
//
//   block 0     superblock at 1024, then inodes
//   anywhere    inodes in slots of 32 bytes, each followed by its attributes and, when they fit
//               into the rest of its block, the last bytes of its data; an inode's number is its
//               slot
//   anywhere    whole blocks of data: of files, of directories
#pragma once

#include <bit>
#include <cstdint>

namespace davit::layer::erofs {

static_assert(std::endian::native == std::endian::little);

constexpr uint32_t kMagic = 0xE0F5E1E2;
constexpr uint64_t kBlockBits = 12;
constexpr uint64_t kBlock = 1 << kBlockBits;
constexpr uint64_t kSuperOffset = 1024;
constexpr uint64_t kSlot = 32;

constexpr uint32_t kCompatMtime = 0x2;        // inodes hold mtime, not ctime
constexpr uint32_t kIncompatChunked = 0x4;    // some file is in chunks
constexpr uint32_t kHole = 0xFFFFFFFF;        // of a chunk: no block
constexpr unsigned kMostChunkBits = 12 + 31;  // the field has five bits

// Where an inode's data is.
enum class Layout : uint16_t { kPlain = 0, kInline = 2, kChunks = 4 };
constexpr uint16_t kExtended = 1;  // of the format field, whose bits 1 to 3 are the layout

struct Superblock {
  uint32_t magic;
  uint32_t checksum;
  uint32_t compat;
  uint8_t block_bits;
  uint8_t extra_slots;
  uint16_t root;
  uint64_t inodes;
  uint64_t time;
  uint32_t time_nanos;
  uint32_t blocks;
  uint32_t inode_block;  // where slot 0 is
  uint32_t xattr_block;
  uint8_t uuid[16];
  uint8_t volume[16];
  uint32_t incompat;
  uint16_t algorithms;
  uint16_t extra_devices;
  uint16_t device_slots;
  uint8_t dir_block_bits;
  uint8_t xattr_prefixes;
  uint32_t xattr_prefix_start;
  uint64_t packed;
  uint8_t xattr_filter;
  uint8_t reserved[23];
} __attribute__((packed));
static_assert(sizeof(Superblock) == 128);

struct Inode {
  uint16_t format;
  uint16_t xattr_count;  // units of 4 bytes behind the first 12, plus 1; 0: none at all
  uint16_t mode;
  uint16_t reserved;
  uint64_t size;
  uint32_t data;  // first block; device number; bits of a chunk's size above a block's
  uint32_t number;
  uint32_t uid;
  uint32_t gid;
  uint64_t mtime;
  uint32_t mtime_nanos;
  uint32_t links;
  uint8_t reserved2[16];
} __attribute__((packed));
static_assert(sizeof(Inode) == 64);

// Before an inode's attributes: none of them are shared with other inodes.
struct XattrHeader {
  uint32_t filter;
  uint8_t shared;
  uint8_t reserved[7];
} __attribute__((packed));
static_assert(sizeof(XattrHeader) == 12);

// Followed by the name without its prefix and the value, padded to 4 bytes.
struct XattrEntry {
  uint8_t name_length;
  uint8_t prefix;
  uint16_t value_size;
} __attribute__((packed));
static_assert(sizeof(XattrEntry) == 4);

// A directory's block: its entries, then their names, in the order of their bytes.
struct Dirent {
  uint64_t number;
  uint16_t name_offset;  // the first one's tells how many there are
  uint8_t type;
  uint8_t reserved;
} __attribute__((packed));
static_assert(sizeof(Dirent) == 12);

}  // namespace davit::layer::erofs
