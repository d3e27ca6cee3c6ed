#include "native/addon/arguments.h"

#include <cmath>

namespace davit::addon {

Arguments::Arguments(const Napi::CallbackInfo& info, const char* name)
    : env_(info.Env()), path_(std::string(name) + ".args[0]"), object_(Napi::Object::New(env_)) {
  if (info.Length() == 1 && info[0].IsObject()) {
    object_ = info[0].As<Napi::Object>();
  } else {
    problem(path_, "Expected one options object");
  }
}

Arguments::Arguments(Arguments& outer, Napi::Value value, std::string path)
    : env_(outer.env_),
      path_(std::move(path)),
      object_(Napi::Object::New(env_)),
      problem_(outer.problem_) {
  if (value.IsObject()) {
    object_ = value.As<Napi::Object>();
  } else {
    problem(path_, "Expected object");
  }
}

void Arguments::problem(const std::string& path, const std::string& what) {
  if (problem_->empty()) *problem_ = path + ": " + what;
}

Napi::Value Arguments::get(const char* key, bool null_allowed) {
  Napi::Value value = object_.Get(key);
  if (env_.IsExceptionPending()) {  // a getter threw
    problem(path_ + "." + key, env_.GetAndClearPendingException().Message());
    return env_.Null();
  }
  if (value.IsUndefined()) {
    problem(path_ + "." + key, "Missing property");
  } else if (value.IsNull() && !null_allowed) {
    problem(path_ + "." + key, "Must not be null");
  } else {
    return value;
  }
  return env_.Null();
}

std::string Arguments::text(Napi::Value value, const std::string& path) {
  if (value.IsString()) {
    std::string text = value.As<Napi::String>().Utf8Value();
    if (text.find('\0') == std::string::npos) return text;
    problem(path, "Holds a zero byte");
  } else {
    problem(path, "Expected string");
  }
  return "";
}

std::string Arguments::string(const char* key) {
  return text(get(key, false), path_ + "." + key);
}

std::optional<std::string> Arguments::string_or_null(const char* key) {
  Napi::Value value = get(key, true);
  if (value.IsNull()) return std::nullopt;
  return text(value, path_ + "." + key);
}

std::vector<std::string> Arguments::texts(Napi::Value value, const std::string& path) {
  std::vector<std::string> result;
  if (!value.IsArray()) {
    problem(path, "Expected array");
    return result;
  }
  auto array = value.As<Napi::Array>();
  for (uint32_t i = 0; i < array.Length(); i++) {
    result.push_back(text(array.Get(i), path + "[" + std::to_string(i) + "]"));
  }
  return result;
}

std::vector<std::string> Arguments::strings(const char* key) {
  return texts(get(key, false), path_ + "." + key);
}

std::optional<std::vector<std::string>> Arguments::strings_or_null(const char* key) {
  Napi::Value value = get(key, true);
  if (value.IsNull()) return std::nullopt;
  return texts(value, path_ + "." + key);
}

bool Arguments::boolean(const char* key) {
  Napi::Value value = get(key, false);
  if (value.IsBoolean()) return value.As<Napi::Boolean>().Value();
  problem(path_ + "." + key, "Expected boolean");
  return false;
}

int64_t Arguments::number(Napi::Value value, const std::string& path) {
  constexpr double kSafe = 9007199254740991;
  if (value.IsBigInt()) {
    bool lossless = false;
    int64_t number = value.As<Napi::BigInt>().Int64Value(&lossless);
    if (lossless) return number;
  } else if (value.IsNumber()) {
    double number = value.As<Napi::Number>().DoubleValue();
    if (std::trunc(number) == number && std::abs(number) <= kSafe) {
      return static_cast<int64_t>(number);
    }
  }
  problem(path, "Expected integer");
  return 0;
}

int64_t Arguments::integer(const char* key) {
  return number(get(key, false), path_ + "." + key);
}

std::optional<int64_t> Arguments::integer_or_null(const char* key) {
  Napi::Value value = get(key, true);
  if (value.IsNull()) return std::nullopt;
  return number(value, path_ + "." + key);
}

std::string Arguments::octets(Napi::Value value, const std::string& path) {
  if (value.IsTypedArray() && value.As<Napi::TypedArray>().TypedArrayType() == napi_uint8_array) {
    auto array = value.As<Napi::Uint8Array>();
    return std::string(reinterpret_cast<const char*>(array.Data()), array.ByteLength());
  }
  problem(path, "Expected Uint8Array");
  return "";
}

std::string Arguments::bytes(const char* key) {
  return octets(get(key, false), path_ + "." + key);
}

std::optional<std::string> Arguments::bytes_or_null(const char* key) {
  Napi::Value value = get(key, true);
  if (value.IsNull()) return std::nullopt;
  return octets(value, path_ + "." + key);
}

SharedCancel Arguments::cancel(const char* key) {
  Napi::Value value = get(key, true);
  if (value.IsNull()) return std::make_shared<layer::Cancel>();
  if (value.IsObject() &&
      value.As<Napi::Object>().InstanceOf(Environment::of(env_).cancel_class.Value())) {
    return CancelHandle::Unwrap(value.As<Napi::Object>())->cancel;
  }
  problem(path_ + "." + key, "Expected CancelHandle");
  return std::make_shared<layer::Cancel>();
}

std::vector<Arguments> Arguments::objects(const char* key) {
  std::vector<Arguments> result;
  Napi::Value value = get(key, false);
  std::string path = path_ + "." + key;
  if (!value.IsArray()) {
    problem(path, "Expected array");
    return result;
  }
  auto array = value.As<Napi::Array>();
  for (uint32_t i = 0; i < array.Length(); i++) {
    result.emplace_back(*this, array.Get(i), path + "[" + std::to_string(i) + "]");
  }
  return result;
}

std::optional<Arguments> Arguments::object_or_null(const char* key) {
  Napi::Value value = get(key, true);
  if (value.IsNull()) return std::nullopt;
  return Arguments(*this, value, path_ + "." + key);
}

bool Arguments::failed() {
  if (problem_->empty()) return false;
  Napi::TypeError::New(env_, *problem_).ThrowAsJavaScriptException();
  return true;
}

}  // namespace davit::addon
