#include "shim/oci/process_json.h"

#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include "native/oci/json.h"

namespace davit::oci_cli {
namespace {

using oci::json::At;
using oci::json::Document;
using oci::json::Value;

class Edit {
 public:
  explicit Edit(Document& document) : document_(document) {}

  void set(Value& object, const char* name, Value value) {
    object.RemoveMember(name);
    object.AddMember(Value(name, allocator()), value, allocator());
  }
  Value text(const std::string& value) { return Value(value, allocator()); }

  // The member, made when it is absent.
  Value& member(Value& object, const char* name, rapidjson::Type type) {
    auto found = object.FindMember(name);
    if (found != object.MemberEnd() && found->value.GetType() == type) return found->value;
    set(object, name, Value(type));
    return object.FindMember(name)->value;
  }
  void append(Value& object, const char* name, const std::vector<std::string>& values) {
    Value& list = member(object, name, rapidjson::kArrayType);
    for (const std::string& value : values) list.PushBack(text(value), allocator());
  }
  void set_numbers(Value& object, const char* name, const std::vector<std::uint32_t>& values) {
    Value list(rapidjson::kArrayType);
    for (std::uint32_t value : values) list.PushBack(Value(value), allocator());
    set(object, name, std::move(list));
  }

 private:
  Document::AllocatorType& allocator() { return document_.GetAllocator(); }
  Document& document_;
};

std::string written(const Value& value) {
  rapidjson::StringBuffer buffer;
  rapidjson::Writer<rapidjson::StringBuffer> writer(buffer);
  value.Accept(writer);
  return {buffer.GetString(), buffer.GetSize()};
}

Result<std::uint32_t> parse_id(std::string_view text, const char* what) {
  auto id = parse_integer(text);
  if (!id || *id < 0 || *id > UINT32_MAX - 1)
    return fail(0, std::string("parsing ") + std::string(text) + " as int for " + what +
                       ": invalid syntax");
  return static_cast<std::uint32_t>(*id);
}

Result<> set_user(Edit& edit, Value& process, const Options& options) {
  Value& user = edit.member(process, "user", rapidjson::kObjectType);
  if (options.has("user")) {
    std::string text = options.get("user");
    std::size_t colon = text.find(':');
    DAVIT_ASSIGN(std::uint32_t uid, parse_id(text.substr(0, colon), "uid"));
    edit.set(user, "uid", Value(uid));
    if (colon != std::string::npos) {
      DAVIT_ASSIGN(std::uint32_t gid, parse_id(text.substr(colon + 1), "gid"));
      edit.set(user, "gid", Value(gid));
    }
  }
  if (options.has("additional-gids")) {
    std::vector<std::uint32_t> gids;
    for (const std::string& text : options.all("additional-gids")) {
      DAVIT_ASSIGN(std::uint32_t gid, parse_id(text, "gid"));
      gids.push_back(gid);
    }
    edit.set_numbers(user, "additionalGids", gids);
  }
  return {};
}

}  // namespace

Result<std::string> process_json(const std::string& config, const Options& options,
                                 const std::vector<std::string>& args) {
  DAVIT_ASSIGN(Document document, oci::json::parse(config));
  auto found = document.FindMember("process");
  if (found == document.MemberEnd() || !found->value.IsObject())
    return fail(0, "the container's config has no process");
  Value& process = found->value;
  Edit edit(document);
  if (args.empty()) return fail(0, "process args cannot be empty");
  edit.set(process, "args", Value(rapidjson::kArrayType));
  edit.append(process, "args", args);
  edit.set(process, "terminal", Value(options.has("tty")));
  if (options.has("cwd")) edit.set(process, "cwd", edit.text(options.get("cwd")));
  if (options.has("apparmor"))
    edit.set(process, "apparmorProfile", edit.text(options.get("apparmor")));
  if (options.has("process-label"))
    edit.set(process, "selinuxLabel", edit.text(options.get("process-label")));
  if (options.has("no-new-privs")) edit.set(process, "noNewPrivileges", Value(true));
  edit.append(process, "env", options.all("env"));
  if (options.has("cap")) {
    Value& sets = edit.member(process, "capabilities", rapidjson::kObjectType);
    for (const char* name : {"bounding", "effective", "permitted"})
      edit.append(sets, name, options.all("cap"));
  }
  DAVIT_TRY(set_user(edit, process, options));
  return written(process);
}

Result<std::string> with_env(const std::string& process, const std::vector<std::string>& env) {
  if (env.empty()) return process;
  DAVIT_ASSIGN(Document document, oci::json::parse(process));
  Edit(document).append(document, "env", env);
  return written(document);
}

Result<bool> process_has_terminal(const std::string& process) {
  DAVIT_ASSIGN(Document document, oci::json::parse(process));
  bool terminal = false;
  DAVIT_TRY(oci::json::get(document, "terminal", At{"process"}, terminal));
  return terminal;
}

}  // namespace davit::oci_cli
