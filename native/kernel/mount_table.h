// The mounts of a mount namespace, read from a process's mountinfo.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "native/kernel/result.h"

namespace davit::mount_table {

struct Entry {
  int id = 0;
  int parent = 0;
  std::string root;     // what of the file system is mounted
  std::string target;   // where
  std::string options;  // of the mount
  std::string type;
  std::string source;
  std::string super_options;  // of the file system
};

// Nothing for a line that is not mountinfo's.
std::optional<Entry> parse_line(std::string_view line);

// All of them, in the kernel's order.
Result<std::vector<Entry>> read(const std::string& file = "/proc/self/mountinfo");

// The mount that `path` is on: found by the kernel's number for it, so links and `..` do not
// matter.
Result<Entry> lookup(const std::string& path);

}  // namespace davit::mount_table
