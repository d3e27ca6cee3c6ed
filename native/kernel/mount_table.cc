#include "native/kernel/mount_table.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>

#include "native/kernel/fd.h"

namespace davit::mount_table {
namespace {

// The kernel writes blanks, line ends and backslashes as \ooo.
std::string unescape(std::string_view text) {
  std::string result;
  for (size_t i = 0; i < text.size(); i++) {
    int value = 0;
    if (text[i] == '\\' && i + 3 < text.size()) {
      auto [stop, error] = std::from_chars(text.data() + i + 1, text.data() + i + 4, value, 8);
      if (error == std::errc() && stop == text.data() + i + 4) {
        result += static_cast<char>(value);
        i += 3;
        continue;
      }
    }
    result += text[i];
  }
  return result;
}

bool number(std::string_view text, int& value) {
  auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && stop == text.data() + text.size();
}

Result<std::string> read_file(const char* path) {
  Fd fd(open(path, O_RDONLY | O_CLOEXEC));
  if (!fd) return fail_errno(std::string("open \"") + path + "\"");
  std::string content;
  char buffer[32 * 1024];
  for (;;) {
    ssize_t got = ::read(fd.get(), buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno(std::string("read \"") + path + "\"");
    if (got == 0) return content;
    content.append(buffer, static_cast<size_t>(got));
  }
}

}  // namespace

std::optional<Entry> parse_line(std::string_view line) {
  std::vector<std::string_view> fields;
  for (size_t from = 0; from <= line.size();) {
    size_t to = std::min(line.find(' ', from), line.size());
    fields.push_back(line.substr(from, to - from));
    from = to + 1;
  }
  // Six fields, optional ones, a dash, three more.
  size_t dash = 6;
  while (dash < fields.size() && fields[dash] != "-") dash++;
  if (dash + 3 >= fields.size()) return std::nullopt;
  Entry entry;
  if (!number(fields[0], entry.id) || !number(fields[1], entry.parent)) return std::nullopt;
  entry.root = unescape(fields[3]);
  entry.target = unescape(fields[4]);
  entry.options = fields[5];
  entry.type = fields[dash + 1];
  entry.source = unescape(fields[dash + 2]);
  entry.super_options = unescape(fields[dash + 3]);
  return entry;
}

Result<std::vector<Entry>> read(const std::string& file) {
  DAVIT_ASSIGN(std::string content, read_file(file.c_str()));
  std::vector<Entry> entries;
  for (size_t from = 0; from < content.size();) {
    size_t to = std::min(content.find('\n', from), content.size());
    if (auto entry = parse_line(std::string_view(content).substr(from, to - from))) {
      entries.push_back(std::move(*entry));
    }
    from = to + 1;
  }
  return entries;
}

Result<Entry> lookup(const std::string& path) {
  struct statx info;
  if (statx(AT_FDCWD, path.c_str(), AT_NO_AUTOMOUNT, STATX_MNT_ID, &info) < 0) {
    return fail_errno("stat \"" + path + "\"");
  }
  DAVIT_ASSIGN(std::vector<Entry> entries, read());
  for (Entry& entry : entries) {
    if (static_cast<uint64_t>(entry.id) == info.stx_mnt_id) return std::move(entry);
  }
  return fail(ENOENT, "mount of \"" + path + "\"");
}

}  // namespace davit::mount_table
