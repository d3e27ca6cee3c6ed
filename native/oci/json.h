// JSON for the executor: rapidjson with 64-bit integers kept exact, read through functions that
// name the member which is wrong.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <rapidjson/document.h>

#include "native/kernel/result.h"

namespace davit::oci::json {

using Value = rapidjson::Value;
using Document = rapidjson::Document;

// EINVAL with the offset where the text stops being JSON. Deep nesting is refused.
Result<Document> parse(std::string_view text);

// A member, or nullptr when it is absent or null.
const Value* find(const Value& object, const char* name);

// Where a value stands, for messages: `linux.resources`.
struct At {
  std::string path;
  At operator/(const char* name) const { return {path.empty() ? name : path + "." + name}; }
  At operator[](std::size_t index) const { return {path + "[" + std::to_string(index) + "]"}; }
};

std::unexpected<Error> wrong(const At& at, const char* want);

// Each leaves `out` alone when the member is absent, and is EINVAL when it has another type.
Result<> get(const Value& object, const char* name, const At& at, bool& out);
Result<> get(const Value& object, const char* name, const At& at, std::optional<bool>& out);
Result<> get(const Value& object, const char* name, const At& at, std::string& out);
Result<> get(const Value& object, const char* name, const At& at, std::vector<std::string>& out);
Result<> get(const Value& object, const char* name, const At& at, std::optional<std::int64_t>& out);
Result<> get(const Value& object, const char* name, const At& at,
             std::optional<std::uint64_t>& out);
Result<> get(const Value& object, const char* name, const At& at,
             std::optional<std::uint32_t>& out);

// The member as an object or array, nullptr when absent; EINVAL when it is something else.
Result<const Value*> object(const Value& parent, const char* name, const At& at);
Result<const Value*> array(const Value& parent, const char* name, const At& at);

}  // namespace davit::oci::json
