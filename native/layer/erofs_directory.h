// The content of a directory in an EROFS image.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace davit::layer {

struct ErofsEntry {
  std::string name;
  uint64_t number = 0;  // of its inode
  uint32_t mode = 0;    // its type
};

// Adds "." and ".." and puts all in the order that EROFS looks names up in.
void erofs_sort(std::vector<ErofsEntry>& entries);

// In bytes; depends on the names alone.
uint64_t erofs_directory_size(const std::vector<ErofsEntry>& entries);
std::vector<uint8_t> erofs_directory(const std::vector<ErofsEntry>& entries);

}  // namespace davit::layer
