#include "native/layer/tar_reader.h"

#include <algorithm>
#include <cstring>

namespace davit::layer {
namespace {

constexpr std::string_view kXattrPrefix = "SCHILY.xattr.";

std::unexpected<Error> bad(const std::string& what) {
  return fail(EBADMSG, "tar: " + what);
}
std::unexpected<Error> bad_entry(const std::string& name, const std::string& what) {
  return bad("entry \"" + name + "\" " + what);
}
std::unexpected<Error> truncated() {
  return fail(EBADMSG, "tar: unexpected end of archive");
}

// A header field as a number in [low, high].
Result<int64_t> number(const Block& block, size_t offset, size_t length, const char* what,
                       int64_t low = 0, int64_t high = INT64_MAX) {
  std::optional<int64_t> value = field_number(block.field(offset, length));
  if (!value || *value < low || *value > high)
    return bad(std::string("header has an invalid ") + what);
  return *value;
}

Result<EntryType> type_of(char flag, std::string_view name) {
  switch (flag) {
    case '\0':  // before POSIX a directory was a file whose name ends in a slash
      return name.ends_with('/') ? EntryType::kDirectory : EntryType::kRegular;
    case '0':
    case '7':
    case 'S':
      return EntryType::kRegular;
    case '1':
      return EntryType::kHardLink;
    case '2':
      return EntryType::kSymlink;
    case '3':
      return EntryType::kCharacterDevice;
    case '4':
      return EntryType::kBlockDevice;
    case '5':
      return EntryType::kDirectory;
    case '6':
      return EntryType::kFifo;
    default:
      return bad_entry(std::string(name), std::string("has unknown type '") + flag + "'");
  }
}

std::string name_in(const Block& block, Dialect dialect) {
  std::string name(field_text(block.field(0, 100)));
  size_t prefix_length = dialect == Dialect::kUstar ? 155 : dialect == Dialect::kStar ? 131 : 0;
  if (prefix_length == 0) return name;
  std::string_view prefix = field_text(block.field(345, prefix_length));
  return prefix.empty() ? name : std::string(prefix) + "/" + name;
}

Result<> apply_pax(const PaxRecords& pax, Entry& entry) {
  auto read_number = [&](std::string_view key, auto& target, int64_t high) -> Result<> {
    std::optional<std::string_view> text = pax.find(key);
    if (!text) return {};
    std::optional<int64_t> value = pax_number(*text);
    if (!value || *value > high) return bad_entry(entry.name, "has an invalid " + std::string(key));
    target = static_cast<std::remove_reference_t<decltype(target)>>(*value);
    return {};
  };
  if (auto path = pax.find("path")) entry.name = *path;
  if (auto link = pax.find("linkpath")) entry.link = *link;
  DAVIT_TRY(read_number("size", entry.stored, INT64_MAX));
  DAVIT_TRY(read_number("uid", entry.uid, UINT32_MAX - 1));
  DAVIT_TRY(read_number("gid", entry.gid, UINT32_MAX - 1));
  if (auto text = pax.find("mtime")) {
    std::optional<Time> time = pax_time(*text);
    if (!time) return bad_entry(entry.name, "has an invalid mtime");
    entry.modified = *time;
  }
  if (auto text = pax.find("atime")) {
    std::optional<Time> time = pax_time(*text);
    if (!time) return bad_entry(entry.name, "has an invalid atime");
    entry.accessed = *time;
  }
  for (auto it = pax.values.lower_bound(kXattrPrefix);
       it != pax.values.end() && it->first.starts_with(kXattrPrefix); ++it) {
    entry.xattrs.emplace(it->first.substr(kXattrPrefix.size()), it->second);
  }
  return {};
}

// Extents must ascend, lie within the file and hold exactly what the archive stores.
Result<> check_extents(const Entry& entry) {
  int64_t end = 0;
  int64_t total = 0;
  for (const Extent& extent : entry.extents) {
    if (extent.offset < end || extent.length < 0 || extent.length > entry.size ||
        extent.offset > entry.size - extent.length) {
      return bad_entry(entry.name, "has an invalid sparse map");
    }
    end = extent.offset + extent.length;
    total += extent.length;
  }
  if (total != entry.stored) return bad_entry(entry.name, "has a sparse map of another size");
  return {};
}

}  // namespace

Result<std::optional<Entry>> TarReader::next() {
  DAVIT_TRY(skip(stored_left_));
  stored_left_ = 0;
  if (padding_ > 0) {
    DAVIT_ASSIGN(std::span<const uint8_t> rest, peek());
    if (rest.empty()) return std::nullopt;
    DAVIT_TRY(skip(padding_));
    padding_ = 0;
  }

  Extensions extensions;
  for (bool extended = false;; extended = true) {
    Block block;
    DAVIT_ASSIGN(bool got, read_block(block));
    if (!got) {
      if (extended) return truncated();
      return std::nullopt;
    }
    if (block.is_zero()) {
      DAVIT_ASSIGN(bool second, read_block(block));
      if (second && !block.is_zero()) return bad("data after a single zero block");
      return std::nullopt;
    }
    if (!block.checksum_matches()) return bad("header checksum mismatch");

    switch (static_cast<char>(block.bytes[156])) {
      case 'x':
      case 'g': {
        bool global = block.bytes[156] == 'g';
        DAVIT_ASSIGN(std::string body, read_extension(block));
        DAVIT_ASSIGN(PaxRecords records, parse_pax(body));
        if (!global) extensions.pax = std::move(records);
        break;
      }
      case 'L': {
        DAVIT_ASSIGN(std::string body, read_extension(block));
        extensions.long_name = body.substr(0, body.find('\0'));
        break;
      }
      case 'K': {
        DAVIT_ASSIGN(std::string body, read_extension(block));
        extensions.long_link = body.substr(0, body.find('\0'));
        break;
      }
      default: {
        DAVIT_ASSIGN(Entry entry, make_entry(block, extensions));
        return entry;
      }
    }
  }
}

Result<Entry> TarReader::make_entry(const Block& block, Extensions& extensions) {
  Dialect dialect = dialect_of(block);
  Entry entry;
  entry.name = name_in(block, dialect);
  entry.link = field_text(block.field(157, 100));
  DAVIT_ASSIGN(int64_t mode, number(block, 100, 8, "mode", INT64_MIN));
  entry.mode = static_cast<uint32_t>(mode) & 07777;
  DAVIT_ASSIGN(entry.uid, number(block, 108, 8, "uid", 0, UINT32_MAX - 1));
  DAVIT_ASSIGN(entry.gid, number(block, 116, 8, "gid", 0, UINT32_MAX - 1));
  DAVIT_ASSIGN(entry.stored, number(block, 124, 12, "size"));
  DAVIT_ASSIGN(entry.modified.seconds, number(block, 136, 12, "mtime", INT64_MIN));
  if (dialect == Dialect::kGnu && block.bytes[345] != 0) {
    if (auto accessed = field_number(block.field(345, 12))) entry.accessed = Time{*accessed, 0};
  }
  DAVIT_TRY(apply_pax(extensions.pax, entry));
  if (!extensions.long_name.empty()) entry.name = std::move(extensions.long_name);
  if (!extensions.long_link.empty()) entry.link = std::move(extensions.long_link);

  char flag = static_cast<char>(block.bytes[156]);
  DAVIT_ASSIGN(entry.type, type_of(flag, entry.name));
  if (entry.type == EntryType::kCharacterDevice || entry.type == EntryType::kBlockDevice) {
    DAVIT_ASSIGN(entry.device_major, number(block, 329, 8, "device number", 0, UINT32_MAX));
    DAVIT_ASSIGN(entry.device_minor, number(block, 337, 8, "device number", 0, UINT32_MAX));
  }
  // Only files have data, whatever the size field of other types says.
  if (entry.type != EntryType::kRegular) entry.stored = 0;
  entry.size = entry.stored;
  stored_left_ = entry.stored;
  padding_ = padding_after(entry.stored);
  if (entry.type == EntryType::kRegular) {
    DAVIT_TRY(read_sparse_map(block, extensions.pax, entry));
  }
  extents_ = entry.sparse ? entry.extents : std::vector<Extent>{{0, entry.size}};
  extent_ = 0;
  in_extent_ = 0;
  return entry;
}

Result<> TarReader::read_sparse_map(const Block& block, const PaxRecords& pax, Entry& entry) {
  auto version = [&](std::string_view major, std::string_view minor) {
    return pax.find("GNU.sparse.major") == major && pax.find("GNU.sparse.minor") == minor;
  };
  if (auto name = pax.find("GNU.sparse.name")) entry.name = *name;
  std::optional<std::string_view> real_size = pax.find("GNU.sparse.realsize");
  if (!real_size) real_size = pax.find("GNU.sparse.size");
  if (real_size) {
    std::optional<int64_t> size = pax_number(*real_size);
    if (!size) return bad_entry(entry.name, "has an invalid sparse size");
    entry.size = *size;
  }

  if (block.bytes[156] == 'S') {
    DAVIT_TRY(read_old_gnu_map(block, entry));
  } else if (version("1", "0")) {
    DAVIT_TRY(read_pax_1_0_map(entry));
  } else if (auto map = pax.find("GNU.sparse.map")) {
    entry.sparse = true;
    std::vector<int64_t> numbers;
    for (size_t from = 0; from <= map->size();) {
      size_t to = std::min(map->find(',', from), map->size());
      std::optional<int64_t> value = pax_number(map->substr(from, to - from));
      if (!value) return bad_entry(entry.name, "has an invalid sparse map");
      numbers.push_back(*value);
      from = to + 1;
    }
    if (numbers.size() % 2 != 0) return bad_entry(entry.name, "has an invalid sparse map");
    for (size_t i = 0; i < numbers.size(); i += 2) {
      entry.extents.push_back({numbers[i], numbers[i + 1]});
    }
  } else if (!pax.sparse.empty()) {
    entry.sparse = true;
    entry.extents = pax.sparse;
  } else if (real_size) {
    if (entry.stored != 0 && entry.size != entry.stored) {
      return bad_entry(entry.name, "has a sparse size and no map");
    }
    entry.sparse = entry.size != entry.stored;
  }
  if (entry.sparse) return check_extents(entry);
  return {};
}

Result<> TarReader::read_old_gnu_map(const Block& block, Entry& entry) {
  entry.sparse = true;
  DAVIT_ASSIGN(entry.size, number(block, 483, 12, "sparse size"));
  Block current = block;
  size_t offset = 386;
  size_t count = 4;
  size_t more = 482;
  for (;;) {
    for (size_t i = 0; i < count; i++, offset += 24) {
      if (current.bytes[offset] == 0) break;
      DAVIT_ASSIGN(int64_t start, number(current, offset, 12, "sparse map"));
      DAVIT_ASSIGN(int64_t length, number(current, offset + 12, 12, "sparse map"));
      entry.extents.push_back({start, length});
    }
    if (current.bytes[more] == 0) return {};
    if (entry.extents.size() > kMaxExtents) return bad_entry(entry.name, "has too many extents");
    DAVIT_ASSIGN(bool got, read_block(current));
    if (!got) return truncated();
    offset = 0;
    count = 21;
    more = 504;
  }
}

// The map stands in front of the data: decimal lines, the count first, padded to whole blocks.
Result<> TarReader::read_pax_1_0_map(Entry& entry) {
  entry.sparse = true;
  std::string line;
  std::vector<int64_t> numbers;
  size_t wanted = 1;
  while (numbers.size() < wanted) {
    Block block;
    if (stored_left_ < static_cast<int64_t>(kBlockSize)) {
      return bad_entry(entry.name, "has a sparse map beyond its data");
    }
    DAVIT_ASSIGN(bool got, read_block(block));
    if (!got) return truncated();
    stored_left_ -= kBlockSize;
    for (uint8_t byte : block.bytes) {
      if (numbers.size() == wanted) break;
      if (byte != '\n') {
        line += static_cast<char>(byte);
        if (line.size() > 20) return bad_entry(entry.name, "has an invalid sparse map");
        continue;
      }
      std::optional<int64_t> value = pax_number(line);
      if (!value) return bad_entry(entry.name, "has an invalid sparse map");
      line.clear();
      numbers.push_back(*value);
      if (numbers.size() > 1) continue;
      if (*value > static_cast<int64_t>(kMaxExtents)) {
        return bad_entry(entry.name, "has too many extents");
      }
      wanted = 1 + 2 * static_cast<size_t>(*value);
    }
  }
  for (size_t i = 1; i < numbers.size(); i += 2) {
    entry.extents.push_back({numbers[i], numbers[i + 1]});
  }
  entry.stored = stored_left_;
  return {};
}

Result<TarReader::Piece> TarReader::data() {
  while (extent_ < extents_.size() && in_extent_ == extents_[extent_].length) {
    extent_++;
    in_extent_ = 0;
  }
  if (extent_ == extents_.size()) return Piece{};
  DAVIT_ASSIGN(std::span<const uint8_t> ready, peek());
  if (ready.empty()) return truncated();
  const Extent& extent = extents_[extent_];
  int64_t count = std::min(static_cast<int64_t>(ready.size()), extent.length - in_extent_);
  Piece piece{extent.offset + in_extent_, ready.first(static_cast<size_t>(count))};
  chunk_ = chunk_.subspan(static_cast<size_t>(count));
  in_extent_ += count;
  stored_left_ -= count;
  return piece;
}

Result<std::string> TarReader::read_extension(const Block& block) {
  DAVIT_ASSIGN(int64_t size, number(block, 124, 12, "size"));
  if (size > kMaxExtension) return fail(EFBIG, "tar: extended header is larger than 1 MiB");
  std::string body(static_cast<size_t>(size), '\0');
  DAVIT_TRY(read_bytes({reinterpret_cast<uint8_t*>(body.data()), body.size()}));
  DAVIT_TRY(skip(padding_after(size)));
  return body;
}

// False at the end of the stream; a part of a block is an error.
Result<bool> TarReader::read_block(Block& block) {
  DAVIT_ASSIGN(std::span<const uint8_t> ready, peek());
  if (ready.empty()) return false;
  DAVIT_TRY(read_bytes(block.bytes));
  return true;
}

Result<> TarReader::read_bytes(std::span<uint8_t> out) {
  while (!out.empty()) {
    DAVIT_ASSIGN(std::span<const uint8_t> ready, peek());
    if (ready.empty()) return truncated();
    size_t count = std::min(ready.size(), out.size());
    std::memcpy(out.data(), ready.data(), count);
    out = out.subspan(count);
    chunk_ = chunk_.subspan(count);
  }
  return {};
}

Result<std::span<const uint8_t>> TarReader::peek() {
  if (chunk_.empty()) {
    DAVIT_ASSIGN(chunk_, source_.next());
  }
  return chunk_;
}

Result<> TarReader::skip(int64_t count) {
  while (count > 0) {
    if (chunk_.empty()) {
      DAVIT_ASSIGN(int64_t skipped, source_.skip(count));
      count -= skipped;
      if (count == 0) break;
    }
    DAVIT_ASSIGN(std::span<const uint8_t> ready, peek());
    if (ready.empty()) return truncated();
    int64_t step = std::min(static_cast<int64_t>(ready.size()), count);
    chunk_ = chunk_.subspan(static_cast<size_t>(step));
    count -= step;
  }
  return {};
}

}  // namespace davit::layer
