#include "native/layer/erofs_directory.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstring>

#include "native/layer/erofs_format.h"

namespace davit::layer {
namespace {

uint8_t type_of(uint32_t mode) {
  switch (mode & S_IFMT) {
    case S_IFREG:
      return 1;
    case S_IFDIR:
      return 2;
    case S_IFCHR:
      return 3;
    case S_IFBLK:
      return 4;
    case S_IFIFO:
      return 5;
    case S_IFSOCK:
      return 6;
    case S_IFLNK:
      return 7;
    default:
      return 0;
  }
}

// Calls `block(first, last, used)` for each block's entries.
template <typename Block>
void each_block(const std::vector<ErofsEntry>& entries, Block block) {
  size_t first = 0;
  size_t used = 0;
  for (size_t i = 0; i < entries.size(); i++) {
    size_t size = sizeof(erofs::Dirent) + entries[i].name.size();
    if (used + size > erofs::kBlock) {
      block(first, i, used);
      first = i;
      used = 0;
    }
    used += size;
  }
  block(first, entries.size(), used);
}

}  // namespace

void erofs_sort(std::vector<ErofsEntry>& entries) {
  entries.push_back({.name = "."});
  entries.push_back({.name = ".."});
  // std::string compares bytes without their sign.
  std::ranges::sort(entries, {}, &ErofsEntry::name);
}

uint64_t erofs_directory_size(const std::vector<ErofsEntry>& entries) {
  uint64_t blocks = 0;
  uint64_t last = 0;
  each_block(entries, [&](size_t, size_t, size_t used) {
    blocks++;
    last = used;
  });
  return (blocks - 1) * erofs::kBlock + last;
}

std::vector<uint8_t> erofs_directory(const std::vector<ErofsEntry>& entries) {
  std::vector<uint8_t> bytes(erofs_directory_size(entries));
  size_t start = 0;
  each_block(entries, [&](size_t first, size_t last, size_t) {
    size_t name = (last - first) * sizeof(erofs::Dirent);
    for (size_t i = first; i < last; i++) {
      const ErofsEntry& entry = entries[i];
      erofs::Dirent dirent{entry.number, static_cast<uint16_t>(name), type_of(entry.mode), 0};
      std::memcpy(bytes.data() + start + (i - first) * sizeof dirent, &dirent, sizeof dirent);
      std::memcpy(bytes.data() + start + name, entry.name.data(), entry.name.size());
      name += entry.name.size();
    }
    start += erofs::kBlock;
  });
  return bytes;
}

}  // namespace davit::layer
