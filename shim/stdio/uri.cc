#include "shim/stdio/uri.h"

#include <algorithm>

namespace davit::shim {

namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool unescape(std::string_view text, bool plus_is_space, std::string& out) {
  for (size_t i = 0; i < text.size(); i++) {
    if (text[i] == '+' && plus_is_space) {
      out.push_back(' ');
    } else if (text[i] != '%') {
      out.push_back(text[i]);
    } else {
      if (i + 2 >= text.size()) return false;
      const int high = hex_digit(text[i + 1]);
      const int low = hex_digit(text[i + 2]);
      if (high < 0 || low < 0) return false;
      out.push_back(static_cast<char>(high * 16 + low));
      i += 2;
    }
  }
  return out.find('\0') == std::string::npos;
}

// `k=v&l&k=w` to k v l: each key once, with its first value.
bool parse_query(std::string_view query, std::vector<std::string>& out) {
  std::vector<std::string> keys;
  while (!query.empty()) {
    const size_t end = std::min(query.find('&'), query.size());
    const std::string_view pair = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    if (pair.empty()) continue;
    const size_t equals = std::min(pair.find('='), pair.size());
    std::string key;
    std::string value;
    if (!unescape(pair.substr(0, equals), true, key)) return false;
    if (equals < pair.size() && !unescape(pair.substr(equals + 1), true, value)) return false;
    if (std::ranges::find(keys, key) != keys.end()) continue;
    keys.push_back(key);
    out.push_back(std::move(key));
    if (equals < pair.size()) out.push_back(std::move(value));
  }
  return true;
}

}  // namespace

Result<StdioUri> parse_stdio_uri(std::string_view text) {
  StdioUri uri;
  if (text.empty()) return uri;
  const auto malformed = [text] {
    return fail(EINVAL, "stdio \"" + std::string(text) + "\": malformed address");
  };
  if (text.find('\0') != std::string_view::npos) return malformed();
  const size_t colon = text.find("://");
  if (colon == std::string_view::npos) {
    uri.scheme = Scheme::kFifo;
    uri.path = text;
    return uri;
  }
  const std::string_view scheme = text.substr(0, colon);
  if (scheme == "fifo") {
    uri.scheme = Scheme::kFifo;
  } else if (scheme == "file") {
    uri.scheme = Scheme::kFile;
  } else if (scheme == "binary") {
    uri.scheme = Scheme::kBinary;
  } else if (scheme == "binary-v2") {
    uri.scheme = Scheme::kBinaryV2;
  } else {
    return fail(ENOTSUP, "unknown STDIO scheme " + std::string(scheme) +
                             ": use a path, fifo, file, binary or binary-v2");
  }
  std::string_view rest = text.substr(colon + 3);
  rest = rest.substr(0, rest.find('#'));
  const size_t mark = std::min(rest.find('?'), rest.size());
  if (!unescape(rest.substr(0, mark), false, uri.path)) return malformed();
  if (!uri.path.starts_with('/')) return malformed();
  if (mark < rest.size() && !parse_query(rest.substr(mark + 1), uri.arguments)) return malformed();
  return uri;
}

}  // namespace davit::shim
