// Result<T>: what every function below the addon and the shim returns.
//
// An Error keeps errno, the operation and its object apart, so that the layer that talks to a
// person can say `mount "/proc": Permission denied` and the layer that talks to gRPC can choose a
// code.
#pragma once

#include <cerrno>
#include <cstring>
#include <expected>
#include <string>
#include <utility>

namespace davit {

struct Error {
  int code = 0;         // errno, or 0 when the failure is not a system call's
  std::string message;  // lower case, no full stop, names the object: `open "/x/y"`

  // The text for a person: message, then errno's words when there is an errno. The words start in
  // lower case, as Go writes them, since clients of containerd's API look for them.
  std::string text() const {
    if (code == 0) return message;
    std::string words = std::strerror(code);
    if (words.size() > 1 && words[0] >= 'A' && words[0] <= 'Z' && words[1] >= 'a')
      words[0] = static_cast<char>(words[0] - 'A' + 'a');
    return message + ": " + words;
  }
};

template <typename T = void>
using Result = std::expected<T, Error>;

// Failure of a system call: captures errno now.
inline std::unexpected<Error> fail_errno(std::string message) {
  return std::unexpected(Error{errno, std::move(message)});
}

// Failure with a given errno, or with 0 for a failure of our own rules.
inline std::unexpected<Error> fail(int code, std::string message) {
  return std::unexpected(Error{code, std::move(message)});
}

// The same failure seen from further up: `context: message`.
inline std::unexpected<Error> wrap(std::string context, Error inner) {
  return std::unexpected(Error{inner.code, std::move(context) + ": " + std::move(inner.message)});
}

}  // namespace davit

// Evaluates a Result<T>; on failure returns it from the enclosing function.
#define DAVIT_TRY(expr)                                   \
  do {                                                    \
    if (auto davit_r = (expr); !davit_r.has_value()) {    \
      return std::unexpected(std::move(davit_r).error()); \
    }                                                     \
  } while (0)

#define DAVIT_CONCAT2(a, b) a##b
#define DAVIT_CONCAT(a, b) DAVIT_CONCAT2(a, b)

// Declares `decl` from a Result<T>'s value; on failure returns it from the enclosing function.
#define DAVIT_ASSIGN(decl, expr) DAVIT_ASSIGN_(DAVIT_CONCAT(davit_r_, __LINE__), decl, expr)
#define DAVIT_ASSIGN_(tmp, decl, expr)                                  \
  auto tmp = (expr);                                                    \
  if (!tmp.has_value()) return std::unexpected(std::move(tmp).error()); \
  decl = std::move(*tmp)
