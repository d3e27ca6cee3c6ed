#include "shim/action/args.h"

#include <string_view>

namespace davit::shim {

namespace {

struct StringFlag {
  std::string_view name;
  std::string Args::* member;
};
constexpr StringFlag kStrings[] = {
    {"namespace", &Args::namespace_}, {"id", &Args::id},
    {"address", &Args::address},      {"publish-binary", &Args::publish_binary},
    {"socket", &Args::socket},        {"bundle", &Args::bundle},
};

struct BoolFlag {
  std::string_view name;
  bool Args::* member;
};
constexpr BoolFlag kBools[] = {
    {"debug", &Args::debug}, {"v", &Args::version}, {"info", &Args::info}};

const StringFlag* find_string(std::string_view name) {
  for (const auto& flag : kStrings) {
    if (flag.name == name) return &flag;
  }
  return nullptr;
}

const BoolFlag* find_bool(std::string_view name) {
  for (const auto& flag : kBools) {
    if (flag.name == name) return &flag;
  }
  return nullptr;
}

}  // namespace

Result<Args> parse_args(int argc, char** argv) {
  Args args;
  int i = 1;
  for (; i < argc; i++) {
    std::string_view text = argv[i];
    if (text.size() < 2 || text[0] != '-') break;
    text.remove_prefix(text.starts_with("--") ? 2 : 1);
    if (text.empty()) {
      i++;
      break;
    }
    const size_t equals = text.find('=');
    const bool has_value = equals != std::string_view::npos;
    const std::string_view name = text.substr(0, equals);
    std::string_view value = has_value ? text.substr(equals + 1) : std::string_view();
    if (const auto* flag = find_bool(name)) {
      const bool off = value == "false" || value == "0";
      if (has_value && !off && value != "true" && value != "1") {
        return fail(0, "flag -" + std::string(name) + ": not true or false");
      }
      args.*(flag->member) = !off;
      continue;
    }
    const auto* flag = find_string(name);
    if (flag == nullptr) return fail(0, "flag provided but not defined: -" + std::string(name));
    if (!has_value) {
      if (++i == argc) return fail(0, "flag needs an argument: -" + std::string(name));
      value = argv[i];
    }
    args.*(flag->member) = value;
  }
  if (i < argc) args.action = argv[i];
  return args;
}

}  // namespace davit::shim
