// PAX extended headers: records of `length key=value\n` that override fields of the next header.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "native/kernel/result.h"
#include "native/layer/tar_entry.h"

namespace davit::layer {

struct PaxRecords {
  std::map<std::string, std::string, std::less<>> values;  // the last record of a key counts
  std::vector<Extent> sparse;  // GNU sparse 0.0 repeats its keys, so their order is kept here

  // The value of `key`; nothing when it is absent or empty, which means "as in the header".
  std::optional<std::string_view> find(std::string_view key) const;
};

Result<PaxRecords> parse_pax(std::string_view body);

// `text` as a PAX time: decimal seconds, with a sign and a fraction of any length.
std::optional<Time> pax_time(std::string_view text);

// A decimal number without sign that fits 63 bits.
std::optional<int64_t> pax_number(std::string_view text);

}  // namespace davit::layer
