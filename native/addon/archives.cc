#include <fcntl.h>

#include "native/addon/arguments.h"
#include "native/addon/bindings.h"
#include "native/addon/job.h"
#include "native/layer/archive_file.h"

namespace davit::addon {
namespace {

const char* name_of(layer::EntryType type) {
  switch (type) {
    case layer::EntryType::kRegular:
      return "file";
    case layer::EntryType::kSymlink:
      return "symlink";
    case layer::EntryType::kHardLink:
      return "link";
    default:
      return "other";
  }
}

Napi::Value list_archive(const Napi::CallbackInfo& info) {
  Arguments arguments(info, "listArchive");
  std::string path = arguments.string("file");
  int64_t most = arguments.integer("maxMembers");
  SharedCancel cancel = arguments.cancel("cancel");
  if (arguments.failed()) return info.Env().Undefined();
  using Members = std::vector<layer::Member>;
  return run<Members>(
      info.Env(), cancel,
      [=](const layer::Cancel& token) -> Result<Members> {
        Fd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
        if (!file) return fail_errno("open \"" + path + "\"");
        return layer::list_archive(file, static_cast<size_t>(most), token);
      },
      [](Napi::Env env, const Members& members) {
        Napi::Array list = Napi::Array::New(env, members.size());
        for (uint32_t i = 0; i < members.size(); i++) {
          const layer::Member& member = members[i];
          Napi::Object object = Napi::Object::New(env);
          object.Set("type", name_of(member.type));
          object.Set("name", member.name);
          object.Set("link", member.link);
          object.Set("offset", Napi::BigInt::New(env, member.offset));
          object.Set("size", Napi::BigInt::New(env, member.size));
          list.Set(i, object);
        }
        return list;
      });
}

Napi::Value copy_part(const Napi::CallbackInfo& info) {
  Arguments arguments(info, "copyPart");
  std::string path = arguments.string("file");
  int64_t offset = arguments.integer("offset");
  int64_t size = arguments.integer("size");
  std::string to = arguments.string("to");
  SharedCancel cancel = arguments.cancel("cancel");
  if (arguments.failed()) return info.Env().Undefined();
  return run<std::string>(
      info.Env(), cancel,
      [=](const layer::Cancel& token) -> Result<std::string> {
        Fd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
        if (!file) return fail_errno("open \"" + path + "\"");
        Fd out(open(to.c_str(), O_WRONLY | O_APPEND | O_NOFOLLOW | O_CLOEXEC));
        if (!out) return fail_errno("open \"" + to + "\"");
        return layer::copy_part(file, offset, size, out, token);
      },
      [](Napi::Env env, const std::string& digest) { return Napi::String::New(env, digest); });
}

}  // namespace

void add_archives(Napi::Env env, Napi::Object exports) {
  exports.Set("listArchive", Napi::Function::New<list_archive>(env, "listArchive"));
  exports.Set("copyPart", Napi::Function::New<copy_part>(env, "copyPart"));
}

}  // namespace davit::addon
