// Arguments: reads one options object, strictly.
//
// Every property must be there; what may be left out is `null`. The first problem is remembered
// with its path (`applyLayer.args[0].lowers[2]: Expected string`) and thrown by failed().
#pragma once

#include <napi.h>

#include <optional>
#include <string>
#include <vector>

#include "native/addon/environment.h"

namespace davit::addon {

class Arguments {
 public:
  // The first argument of the function `name`.
  Arguments(const Napi::CallbackInfo& info, const char* name);
  // An object inside another; problems go to the outer one.
  Arguments(Arguments& outer, Napi::Value value, std::string path);

  std::string string(const char* key);  // without zero bytes, as the kernel takes them
  std::optional<std::string> string_or_null(const char* key);
  std::vector<std::string> strings(const char* key);
  std::optional<std::vector<std::string>> strings_or_null(const char* key);
  bool boolean(const char* key);
  int64_t integer(const char* key);  // a bigint of 64 bits or an integral number
  std::optional<int64_t> integer_or_null(const char* key);
  std::string bytes(const char* key);
  std::optional<std::string> bytes_or_null(const char* key);
  SharedCancel cancel(const char* key);  // a CancelHandle or null
  std::vector<Arguments> objects(const char* key);
  std::optional<Arguments> object_or_null(const char* key);

  // Throws a TypeError in JavaScript if anything was wrong.
  bool failed();

 private:
  Napi::Value get(const char* key, bool null_allowed);
  std::string text(Napi::Value value, const std::string& path);
  int64_t number(Napi::Value value, const std::string& path);
  std::string octets(Napi::Value value, const std::string& path);
  std::vector<std::string> texts(Napi::Value value, const std::string& path);
  void problem(const std::string& path, const std::string& what);

  Napi::Env env_;
  std::string path_;
  Napi::Object object_;
  std::string own_problem_;
  std::string* problem_ = &own_problem_;
};

}  // namespace davit::addon
