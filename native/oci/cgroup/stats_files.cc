#include "native/oci/cgroup/stats_files.h"

#include <dirent.h>
#include <fcntl.h>

#include <charconv>
#include <memory>

#include "native/kernel/file.h"

namespace davit::oci {

std::string read_text(const std::string& path) {
  return kernel::read_file(AT_FDCWD, path.c_str(), 4 << 20).value_or("");
}

std::uint64_t to_number(std::string_view word) {
  if (word.starts_with("max")) return UINT64_MAX;
  std::uint64_t value = 0;
  std::from_chars(word.data(), word.data() + word.size(), value);
  return value;
}

std::uint64_t read_number(const std::string& path) {
  return to_number(read_text(path));
}

std::string_view next_word(std::string_view& line) {
  std::size_t end = line.find(' ');
  std::string_view word = line.substr(0, end);
  line.remove_prefix(end == std::string_view::npos ? line.size() : end + 1);
  return word;
}

Counters read_counters(const std::string& path) {
  Counters counters;
  std::string text = read_text(path);
  for_lines(text, [&](std::string_view line) {
    std::string_view key = next_word(line);
    if (!key.empty()) counters.emplace_back(key, to_number(line));
  });
  return counters;
}

std::uint64_t counter(const Counters& counters, const char* key) {
  for (const auto& [name, value] : counters)
    if (name == key) return value;
  return 0;
}

std::vector<RdmaEntry> read_rdma(const std::string& path) {
  std::vector<RdmaEntry> entries;
  std::string text = read_text(path);
  for_lines(text, [&](std::string_view line) {
    RdmaEntry entry;
    entry.device = next_word(line);
    auto value_of = [](std::string_view word) -> std::uint32_t {
      std::uint64_t value = to_number(word.substr(word.find('=') + 1));
      return value > UINT32_MAX ? UINT32_MAX : static_cast<std::uint32_t>(value);
    };
    entry.hca_handles = value_of(next_word(line));
    entry.hca_objects = value_of(next_word(line));
    if (!entry.device.empty()) entries.push_back(std::move(entry));
  });
  return entries;
}

std::vector<std::string> hugepage_sizes() {
  std::vector<std::string> sizes;
  std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir("/sys/kernel/mm/hugepages"), ::closedir);
  if (!dir) return sizes;
  while (const dirent* entry = ::readdir(dir.get())) {
    // hugepages-2048kB
    std::string_view name = entry->d_name;
    if (!name.starts_with("hugepages-")) continue;
    std::uint64_t kib = to_number(name.substr(10));
    if (kib >= 1 << 20)
      sizes.push_back(std::to_string(kib >> 20) + "GB");
    else if (kib >= 1 << 10)
      sizes.push_back(std::to_string(kib >> 10) + "MB");
    else
      sizes.push_back(std::to_string(kib) + "KB");
  }
  return sizes;
}

}  // namespace davit::oci
