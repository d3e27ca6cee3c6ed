#include "native/layer/erofs_xattrs.h"

#include <sys/xattr.h>

#include <algorithm>
#include <climits>
#include <optional>
#include <string_view>

#include "native/layer/erofs_format.h"

namespace davit::layer {
namespace {

constexpr size_t kMost = 12 + 4 * (UINT16_MAX - 1);

struct Prefix {
  std::string_view text;
  uint8_t number;
};
constexpr Prefix kPrefixes[] = {
    {"user.", 1},
    {"system.posix_acl_access", 2},
    {"system.posix_acl_default", 3},
    {"trusted.", 4},
    {"security.", 6},
};

// These name inodes and file systems of this machine, and are for an upper layer alone.
constexpr std::string_view kUpperOnly[] = {"origin", "impure", "nlink", "upper", "uuid"};

bool is_upper_only(std::string_view key) {
  for (std::string_view prefix : {"trusted.overlay.", "user.overlay."}) {
    if (!key.starts_with(prefix)) continue;
    std::string_view rest = key.substr(prefix.size());
    if (std::ranges::find(kUpperOnly, rest) != std::end(kUpperOnly)) return true;
  }
  return false;
}

std::optional<Prefix> prefix_of(std::string_view key) {
  for (const Prefix& prefix : kPrefixes) {
    bool whole = prefix.text.back() != '.';
    if (whole ? key == prefix.text : key.starts_with(prefix.text)) return prefix;
  }
  return std::nullopt;
}

// The names, in an order that does not depend on the file system.
Result<std::vector<std::string>> names_of(const std::string& path) {
  std::vector<std::string> names;
  ssize_t size = llistxattr(path.c_str(), nullptr, 0);
  if (size == 0 || (size < 0 && errno == ENOTSUP)) return names;
  std::string list(static_cast<size_t>(std::max<ssize_t>(size, 0)), '\0');
  if (size > 0) size = llistxattr(path.c_str(), list.data(), list.size());
  if (size < 0) return fail_errno("list extended attributes");
  for (size_t at = 0; at < static_cast<size_t>(size);) {
    names.emplace_back(list.c_str() + at);
    at += names.back().size() + 1;
  }
  std::ranges::sort(names);
  return names;
}

}  // namespace

Result<std::vector<uint8_t>> erofs_xattrs(const std::string& path) {
  std::vector<uint8_t> bytes;
  DAVIT_ASSIGN(std::vector<std::string> names, names_of(path));
  if (names.empty()) return bytes;
  std::string value(XATTR_SIZE_MAX, '\0');
  auto append = [&bytes](const void* data, size_t size) {
    const auto* from = static_cast<const uint8_t*>(data);
    bytes.insert(bytes.end(), from, from + size);
  };
  for (const std::string& key : names) {
    std::optional<Prefix> prefix = prefix_of(key);
    if (!prefix || is_upper_only(key)) continue;
    ssize_t length = lgetxattr(path.c_str(), key.c_str(), value.data(), value.size());
    if (length < 0 && errno == ENODATA) continue;
    if (length < 0) return fail_errno("read extended attribute \"" + key + "\"");
    if (length > UINT16_MAX)
      return fail(E2BIG, "extended attribute \"" + key + "\" in an EROFS image");
    if (bytes.empty()) bytes.resize(sizeof(erofs::XattrHeader));
    std::string_view rest = std::string_view(key).substr(prefix->text.size());
    erofs::XattrEntry entry{static_cast<uint8_t>(rest.size()), prefix->number,
                            static_cast<uint16_t>(length)};
    append(&entry, sizeof entry);
    append(rest.data(), rest.size());
    append(value.data(), static_cast<size_t>(length));
    bytes.resize((bytes.size() + 3) / 4 * 4);
    if (bytes.size() > kMost) return fail(E2BIG, "extended attributes in an EROFS image");
  }
  return bytes;
}

}  // namespace davit::layer
