// The command line as runc's users write it: -name, --name, =value or the next argument; one letter
// for some.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "native/kernel/result.h"

namespace davit::oci_cli {

enum class Takes { kNothing, kValue, kValues, kNumber };

struct Flag {
  const char* name;
  char letter;  // 0: none
  Takes takes;
  const char* help;
};

class Options {
 public:
  bool has(std::string_view name) const;
  // The last one given; empty when there is none.
  std::string get(std::string_view name) const;
  std::vector<std::string> all(std::string_view name) const;
  std::optional<std::int64_t> number(std::string_view name) const;
  void add(const Flag& flag, std::string_view value);
  void remove(const Flag& flag);

 private:
  std::vector<std::pair<const char*, std::string>> values_;
};

struct ParsedLine {
  Options options;
  std::vector<std::string> args;
};

// `anywhere`: flags may also stand behind arguments; else the first argument ends them, as does --.
// -h and --help are always known, as "help".
Result<ParsedLine> parse_line(std::span<const std::string> words, std::span<const Flag> flags,
                              bool anywhere);

// A Go duration in milliseconds: 5s, 1m30s, 100ms.
Result<std::int64_t> parse_duration(std::string_view text);

// Bytes with an optional unit: 1024, 64k, 512m, 2GiB; -1 is unlimited.
Result<std::int64_t> parse_bytes(std::string_view text);

// A signal by name, with or without SIG, or by number.
Result<int> parse_signal(std::string_view text);

// Whole decimal integers only.
std::optional<std::int64_t> parse_integer(std::string_view text);

}  // namespace davit::oci_cli
