#include <ctype.h>
#include <signal.h>
#include <string.h>

#include <charconv>
#include <limits>

#include "shim/oci/flags.h"

namespace davit::oci_cli {

std::optional<std::int64_t> parse_integer(std::string_view text) {
  std::int64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return {};
  return value;
}

Result<std::int64_t> parse_duration(std::string_view text) {
  struct Unit {
    std::string_view name;
    double ms;
  };
  constexpr Unit kUnits[] = {{"ns", 1e-6}, {"us", 1e-3}, {"ms", 1},
                             {"s", 1e3},   {"m", 6e4},   {"h", 3.6e6}};
  constexpr double kLongest = 1e12;
  auto wrong = fail(0, "invalid duration \"" + std::string(text) + '"');
  double total = 0;
  std::string_view rest = text;
  if (rest == "0") return 0;
  if (rest.empty()) return wrong;
  while (!rest.empty()) {
    double value = 0;
    auto [end, error] =
        std::from_chars(rest.data(), rest.data() + rest.size(), value, std::chars_format::fixed);
    if (error != std::errc() || value < 0) return wrong;
    rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
    std::size_t length = 0;
    while (length < rest.size() && ::isalpha(static_cast<unsigned char>(rest[length]))) length++;
    const Unit* unit = nullptr;
    for (const Unit& one : kUnits)
      if (one.name == rest.substr(0, length)) unit = &one;
    if (unit == nullptr) return wrong;
    total += value * unit->ms;
    rest.remove_prefix(length);
  }
  if (total > kLongest) return wrong;
  return static_cast<std::int64_t>(total);
}

Result<std::int64_t> parse_bytes(std::string_view text) {
  auto wrong = fail(0, "invalid size: '" + std::string(text) + "'");
  if (text == "-1") return -1;
  std::uint64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc()) return wrong;
  std::string unit;
  for (char c : text.substr(static_cast<std::size_t>(end - text.data())))
    if (c != ' ') unit += static_cast<char>(::tolower(static_cast<unsigned char>(c)));
  int shift = 0;
  if (!unit.empty() && unit != "b") {
    constexpr std::string_view kPrefixes = "kmgtp";
    std::size_t prefix = kPrefixes.find(unit[0]);
    std::string_view tail = std::string_view(unit).substr(1);
    if (prefix == std::string_view::npos || (!tail.empty() && tail != "b" && tail != "ib"))
      return wrong;
    shift = 10 * (static_cast<int>(prefix) + 1);
  }
  if (value > (static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()) >> shift))
    return wrong;
  return static_cast<std::int64_t>(value << shift);
}

Result<int> parse_signal(std::string_view text) {
  auto unknown = fail(0, "unknown signal \"" + std::string(text) + '"');
  if (auto number = parse_integer(text)) {
    if (*number < 0 || *number > std::numeric_limits<int>::max()) return unknown;
    return static_cast<int>(*number);
  }
  std::string name;
  for (char c : text) name += static_cast<char>(::toupper(static_cast<unsigned char>(c)));
  if (name.starts_with("SIG")) name.erase(0, 3);
  for (int signal = 1; signal < __SIGRTMIN; signal++) {
    const char* known = ::sigabbrev_np(signal);
    if (known != nullptr && name == known) return signal;
  }
  // RTMIN, RTMIN+3, RTMAX-2.
  for (auto [base, value] : {std::pair{"RTMIN", SIGRTMIN}, std::pair{"RTMAX", SIGRTMAX}}) {
    if (!name.starts_with(base)) continue;
    std::string_view offset = std::string_view(name).substr(5);
    if (offset.starts_with('+')) offset.remove_prefix(1);
    auto number = offset.empty() ? std::optional<std::int64_t>(0) : parse_integer(offset);
    if (number && value + *number >= SIGRTMIN && value + *number <= SIGRTMAX)
      return static_cast<int>(value + *number);
  }
  return unknown;
}

}  // namespace davit::oci_cli
