// Reading the statistics files of cgroups. Every function gives empty or 0 for a file that is not
// there: which files exist depends on the kernel's configuration.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "native/oci/stats.h"

namespace davit::oci {

std::string read_text(const std::string& path);
std::uint64_t read_number(const std::string& path);         // "max" is UINT64_MAX
Counters read_counters(const std::string& path);            // "key value" per line
std::vector<RdmaEntry> read_rdma(const std::string& path);  // "device hca_handle=1 hca_object=2"

// Calls `each(line)` for every line without its newline.
template <typename Each>
void for_lines(std::string_view text, const Each& each) {
  while (!text.empty()) {
    std::size_t end = text.find('\n');
    each(text.substr(0, end));
    if (end == std::string_view::npos) return;
    text.remove_prefix(end + 1);
  }
}

// Takes the next word, parted by single spaces, off `line`.
std::string_view next_word(std::string_view& line);
std::uint64_t to_number(std::string_view word);

// The page sizes this kernel has: "2MB", "1GB". From /sys/kernel/mm/hugepages.
std::vector<std::string> hugepage_sizes();

}  // namespace davit::oci
