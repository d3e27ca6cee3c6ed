#include "shim/oci/flags.h"

namespace davit::oci_cli {
namespace {

constexpr Flag kHelp = {"help", 'h', Takes::kNothing, "show help"};

const Flag* find(std::span<const Flag> flags, std::string_view name) {
  auto is = [&](const Flag& flag) {
    return name == flag.name || (name.size() == 1 && name[0] == flag.letter);
  };
  for (const Flag& flag : flags)
    if (is(flag)) return &flag;
  return is(kHelp) ? &kHelp : nullptr;
}

std::unexpected<Error> bad(std::string_view value, const Flag& flag) {
  return fail(0, "invalid value \"" + std::string(value) + "\" for flag -" + flag.name);
}

Result<> take(Options& options, const Flag& flag, std::string_view value) {
  if (flag.takes == Takes::kNumber && !parse_integer(value)) return bad(value, flag);
  options.add(flag, value);
  return {};
}

Result<> switch_to(Options& options, const Flag& flag, std::string_view value) {
  if (value == "true" || value == "1" || value == "t")
    options.add(flag, {});
  else if (value == "false" || value == "0" || value == "f")
    options.remove(flag);
  else
    return bad(value, flag);
  return {};
}

}  // namespace

bool Options::has(std::string_view name) const {
  for (const auto& [key, value] : values_)
    if (name == key) return true;
  return false;
}

std::string Options::get(std::string_view name) const {
  std::string out;
  for (const auto& [key, value] : values_)
    if (name == key) out = value;
  return out;
}

std::vector<std::string> Options::all(std::string_view name) const {
  std::vector<std::string> out;
  for (const auto& [key, value] : values_)
    if (name == key) out.push_back(value);
  return out;
}

std::optional<std::int64_t> Options::number(std::string_view name) const {
  return parse_integer(get(name));
}

void Options::add(const Flag& flag, std::string_view value) {
  values_.emplace_back(flag.name, value);
}

void Options::remove(const Flag& flag) {
  std::erase_if(values_, [&](const auto& one) { return std::string_view(one.first) == flag.name; });
}

Result<ParsedLine> parse_line(std::span<const std::string> words, std::span<const Flag> flags,
                              bool anywhere) {
  ParsedLine out;
  for (std::size_t i = 0; i < words.size(); i++) {
    std::string_view word = words[i];
    if (word == "--" || word.size() < 2 || word[0] != '-') {
      bool all = word == "--" || !anywhere;
      std::size_t first = word == "--" ? i + 1 : i;
      std::size_t end = all ? words.size() : i + 1;
      out.args.insert(out.args.end(), words.begin() + static_cast<std::ptrdiff_t>(first),
                      words.begin() + static_cast<std::ptrdiff_t>(end));
      if (all) break;
      continue;
    }
    word.remove_prefix(word.starts_with("--") ? 2 : 1);
    std::size_t equals = word.find('=');
    bool has_value = equals != std::string_view::npos;
    std::string_view name = word.substr(0, equals);
    std::string_view value = has_value ? word.substr(equals + 1) : std::string_view();
    const Flag* flag = find(flags, name);
    if (flag == nullptr) return fail(0, "flag provided but not defined: -" + std::string(name));
    if (flag->takes == Takes::kNothing) {
      DAVIT_TRY(switch_to(out.options, *flag, has_value ? value : "true"));
      continue;
    }
    if (!has_value) {
      if (i + 1 == words.size()) return fail(0, "flag needs an argument: -" + std::string(name));
      value = words[++i];
    }
    DAVIT_TRY(take(out.options, *flag, value));
  }
  return out;
}

}  // namespace davit::oci_cli
