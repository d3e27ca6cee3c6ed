// Copying out of and into roots. The pipe's other end is the caller's; the descriptor that a
// function is given is its own from then on.
#include <fcntl.h>
#include <unistd.h>

#include "native/addon/arguments.h"
#include "native/addon/bindings.h"
#include "native/addon/job.h"
#include "native/layer/copy_path.h"

namespace davit::addon {
namespace {

Napi::Value open_pipe(const Napi::CallbackInfo& info) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) < 0) {
    to_js(info.Env(), fail_errno("make a pipe").error()).ThrowAsJavaScriptException();
    return info.Env().Undefined();
  }
  Napi::Object object = Napi::Object::New(info.Env());
  object.Set("read", ends[0]);
  object.Set("write", ends[1]);
  return object;
}

struct Maps {
  std::string uids, gids;

  Result<> parse(kernel::IdMap& uid_map, kernel::IdMap& gid_map) const {
    if (uids.empty()) return {};
    DAVIT_ASSIGN(uid_map, kernel::parse_id_map(uids));
    DAVIT_ASSIGN(gid_map, kernel::parse_id_map(gids));
    return {};
  }
};

Maps maps_of(Arguments& arguments) {
  auto ids = arguments.object_or_null("ids");
  if (!ids) return {};
  std::string uids = ids->string("uids");
  return {std::move(uids), ids->string("gids")};
}

// Shared, since a job's work is copied before it runs.
std::shared_ptr<Fd> descriptor(Arguments& arguments) {
  return std::make_shared<Fd>(static_cast<int>(arguments.integer("fd")));
}

Napi::Value copy_out(const Napi::CallbackInfo& info) {
  Arguments arguments(info, "copyOut");
  std::string root = arguments.string("root");
  layer::CopyOut options;
  options.path = arguments.string("path");
  options.follow = arguments.boolean("follow");
  options.walk = arguments.boolean("walk");
  options.name = arguments.string("name");
  Maps maps = maps_of(arguments);
  std::shared_ptr<Fd> out = descriptor(arguments);
  SharedCancel cancel = arguments.cancel("cancel");
  if (arguments.failed()) return info.Env().Undefined();
  return run(info.Env(), cancel, [=](const layer::Cancel& token) mutable -> Result<> {
    Fd fd = std::move(*out);
    DAVIT_TRY(maps.parse(options.uids, options.gids));
    return layer::copy_out(root, std::move(fd), options, token);
  });
}

Napi::Value copy_in(const Napi::CallbackInfo& info) {
  Arguments arguments(info, "copyIn");
  std::string root = arguments.string("root");
  layer::CopyIn options;
  options.path = arguments.string("path");
  options.as = arguments.string_or_null("as");
  if (auto owner = arguments.object_or_null("owner")) {
    options.owner = layer::Owner{static_cast<uint32_t>(owner->integer("uid")),
                                 static_cast<uint32_t>(owner->integer("gid"))};
  }
  options.devices = arguments.boolean("devices");
  Maps maps = maps_of(arguments);
  std::shared_ptr<Fd> in = descriptor(arguments);
  SharedCancel cancel = arguments.cancel("cancel");
  if (arguments.failed()) return info.Env().Undefined();
  return run(info.Env(), cancel, [=](const layer::Cancel& token) mutable -> Result<> {
    Fd fd = std::move(*in);
    DAVIT_TRY(maps.parse(options.uids, options.gids));
    return layer::copy_in(root, std::move(fd), options, token);
  });
}

}  // namespace

void add_copy(Napi::Env env, Napi::Object exports) {
  exports.Set("openPipe", Napi::Function::New<open_pipe>(env, "openPipe"));
  exports.Set("copyOut", Napi::Function::New<copy_out>(env, "copyOut"));
  exports.Set("copyIn", Napi::Function::New<copy_in>(env, "copyIn"));
}

}  // namespace davit::addon
