// Entry: one member of a tar archive, after its extensions have been merged.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace davit::layer {

// Nanoseconds are 0 to 999999999 also before 1970, as in struct timespec.
struct Time {
  int64_t seconds = 0;
  int64_t nanoseconds = 0;
  auto operator<=>(const Time&) const = default;
};

enum class EntryType {
  kRegular,
  kDirectory,
  kSymlink,
  kHardLink,
  kCharacterDevice,
  kBlockDevice,
  kFifo,
};

// A part of a sparse file that holds data; everything between extents is a hole.
struct Extent {
  int64_t offset = 0;
  int64_t length = 0;
};

struct Entry {
  EntryType type = EntryType::kRegular;
  std::string name;   // as in the archive: untrusted, not cleaned
  std::string link;   // target of a symbolic or hard link
  uint32_t mode = 0;  // permissions, setuid, setgid and sticky bits
  uint32_t uid = 0;
  uint32_t gid = 0;
  uint32_t device_major = 0;
  uint32_t device_minor = 0;
  int64_t size = 0;    // of the file
  int64_t stored = 0;  // of the data in the archive; less than `size` for a sparse file
  Time modified;
  std::optional<Time> accessed;
  std::map<std::string, std::string> xattrs;
  bool sparse = false;
  std::vector<Extent> extents;  // ascending, without overlap; only when sparse
};

}  // namespace davit::layer
