#include "native/layer/pax.h"

#include <charconv>

namespace davit::layer {
namespace {

constexpr int64_t kNanosecondsPerSecond = 1'000'000'000;

// A zero byte would cut a path short when it reaches the kernel.
bool key_may_hold_zero(std::string_view key) {
  return key.starts_with("SCHILY.xattr.");
}

Result<> add_record(PaxRecords& records, std::string_view key, std::string_view value) {
  if (key.empty()) return fail(EBADMSG, "tar: pax record without a key");
  if (!key_may_hold_zero(key) && value.find('\0') != std::string_view::npos) {
    return fail(EBADMSG, "tar: pax record \"" + std::string(key) + "\" holds a zero byte");
  }
  if (key.find('\0') != std::string_view::npos) {
    return fail(EBADMSG, "tar: pax key holds a zero byte");
  }
  if (key == "GNU.sparse.offset" || key == "GNU.sparse.numbytes") {
    std::optional<int64_t> number = pax_number(value);
    if (!number) return fail(EBADMSG, "tar: invalid number in \"" + std::string(key) + "\"");
    bool is_offset = key == "GNU.sparse.offset";
    if (is_offset) {
      records.sparse.push_back({*number, -1});
    } else if (!records.sparse.empty() && records.sparse.back().length < 0) {
      records.sparse.back().length = *number;
    } else {
      return fail(EBADMSG, "tar: sparse length without an offset");
    }
    return {};
  }
  records.values.insert_or_assign(std::string(key), std::string(value));
  return {};
}

}  // namespace

std::optional<std::string_view> PaxRecords::find(std::string_view key) const {
  auto it = values.find(key);
  if (it == values.end() || it->second.empty()) return std::nullopt;
  return it->second;
}

Result<PaxRecords> parse_pax(std::string_view body) {
  PaxRecords records;
  while (!body.empty()) {
    size_t space = body.find(' ');
    std::optional<int64_t> length =
        space == std::string_view::npos ? std::nullopt : pax_number(body.substr(0, space));
    if (!length || *length < static_cast<int64_t>(space) + 2 ||
        *length > static_cast<int64_t>(body.size())) {
      return fail(EBADMSG, "tar: invalid length of a pax record");
    }
    std::string_view record = body.substr(space + 1, static_cast<size_t>(*length) - space - 1);
    size_t equals = record.find('=');
    if (record.back() != '\n' || equals == std::string_view::npos) {
      return fail(EBADMSG, "tar: invalid pax record");
    }
    DAVIT_TRY(add_record(records, record.substr(0, equals),
                         record.substr(equals + 1, record.size() - equals - 2)));
    body.remove_prefix(static_cast<size_t>(*length));
  }
  if (!records.sparse.empty() && records.sparse.back().length < 0) {
    return fail(EBADMSG, "tar: sparse offset without a length");
  }
  return records;
}

std::optional<Time> pax_time(std::string_view text) {
  bool negative = text.starts_with('-');
  if (negative) text.remove_prefix(1);
  size_t point = text.find('.');
  std::optional<int64_t> seconds = pax_number(text.substr(0, point));
  if (!seconds) return std::nullopt;
  int64_t nanoseconds = 0;
  if (point != std::string_view::npos) {
    int64_t unit = kNanosecondsPerSecond / 10;
    for (char digit : text.substr(point + 1)) {
      if (digit < '0' || digit > '9') return std::nullopt;
      nanoseconds += (digit - '0') * unit;
      unit /= 10;
    }
  }
  if (!negative) return Time{*seconds, nanoseconds};
  if (nanoseconds == 0) return Time{-*seconds, 0};
  return Time{-*seconds - 1, kNanosecondsPerSecond - nanoseconds};
}

std::optional<int64_t> pax_number(std::string_view text) {
  int64_t value = 0;
  const char* end = text.data() + text.size();
  auto [stop, error] = std::from_chars(text.data(), end, value);
  if (text.empty() || text.front() == '-' || error != std::errc() || stop != end) {
    return std::nullopt;
  }
  return value;
}

}  // namespace davit::layer
