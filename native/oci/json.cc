#include "native/oci/json.h"

#include <limits>

namespace davit::oci::json {
namespace {

// Refuses nesting beyond what a configuration has, before rapidjson builds anything.
bool too_deep(std::string_view text) {
  constexpr int kMaxDepth = 64;
  int depth = 0;
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); i++) {
    char c = text[i];
    if (quoted) {
      if (c == '\\') i++;
      if (c == '"') quoted = false;
    } else if (c == '"') {
      quoted = true;
    } else if (c == '{' || c == '[') {
      if (++depth > kMaxDepth) return true;
    } else if (c == '}' || c == ']') {
      depth--;
    }
  }
  return false;
}

}  // namespace

Result<Document> parse(std::string_view text) {
  if (too_deep(text)) return fail(EINVAL, "JSON is nested too deeply");
  Document document;
  document.Parse<rapidjson::kParseIterativeFlag | rapidjson::kParseValidateEncodingFlag>(
      text.data(), text.size());
  if (document.HasParseError())
    return fail(EINVAL, "malformed JSON at offset " + std::to_string(document.GetErrorOffset()));
  if (!document.IsObject()) return fail(EINVAL, "JSON is not an object");
  return document;
}

const Value* find(const Value& object, const char* name) {
  auto member = object.FindMember(name);
  if (member == object.MemberEnd() || member->value.IsNull()) return nullptr;
  return &member->value;
}

std::unexpected<Error> wrong(const At& at, const char* want) {
  return fail(EINVAL, at.path + ": must be " + want);
}

Result<> get(const Value& object, const char* name, const At& at, bool& out) {
  std::optional<bool> given;
  DAVIT_TRY(get(object, name, at, given));
  out = given.value_or(out);
  return {};
}

Result<> get(const Value& object, const char* name, const At& at, std::optional<bool>& out) {
  const Value* value = find(object, name);
  if (value == nullptr) return {};
  if (!value->IsBool()) return wrong(at / name, "true or false");
  out = value->GetBool();
  return {};
}

Result<> get(const Value& object, const char* name, const At& at, std::string& out) {
  const Value* value = find(object, name);
  if (value == nullptr) return {};
  if (!value->IsString()) return wrong(at / name, "a string");
  out.assign(value->GetString(), value->GetStringLength());
  if (out.find('\0') != std::string::npos) return wrong(at / name, "without NUL characters");
  return {};
}

Result<> get(const Value& object, const char* name, const At& at, std::vector<std::string>& out) {
  DAVIT_ASSIGN(const Value* list, array(object, name, at));
  if (list == nullptr) return {};
  out.clear();
  out.reserve(list->Size());
  for (const Value& item : list->GetArray()) {
    if (!item.IsString()) return wrong((at / name)[out.size()], "a string");
    std::string text(item.GetString(), item.GetStringLength());
    if (text.find('\0') != std::string::npos)
      return wrong((at / name)[out.size()], "without NUL characters");
    out.push_back(std::move(text));
  }
  return {};
}

Result<> get(const Value& object, const char* name, const At& at,
             std::optional<std::int64_t>& out) {
  const Value* value = find(object, name);
  if (value == nullptr) return {};
  if (!value->IsInt64()) return wrong(at / name, "an integer");
  out = value->GetInt64();
  return {};
}

Result<> get(const Value& object, const char* name, const At& at,
             std::optional<std::uint64_t>& out) {
  const Value* value = find(object, name);
  if (value == nullptr) return {};
  if (!value->IsUint64()) return wrong(at / name, "an integer that is not negative");
  out = value->GetUint64();
  return {};
}

Result<> get(const Value& object, const char* name, const At& at,
             std::optional<std::uint32_t>& out) {
  const Value* value = find(object, name);
  if (value == nullptr) return {};
  if (!value->IsUint()) return wrong(at / name, "an integer from 0 to 4294967295");
  out = value->GetUint();
  return {};
}

Result<const Value*> object(const Value& parent, const char* name, const At& at) {
  const Value* value = find(parent, name);
  if (value != nullptr && !value->IsObject()) return wrong(at / name, "an object");
  return value;
}

Result<const Value*> array(const Value& parent, const char* name, const At& at) {
  const Value* value = find(parent, name);
  if (value != nullptr && !value->IsArray()) return wrong(at / name, "a list");
  return value;
}

}  // namespace davit::oci::json
