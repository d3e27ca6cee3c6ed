#include "native/kernel/btrfs.h"

#include "native/addon/arguments.h"
#include "native/addon/bindings.h"
#include "native/addon/job.h"

namespace davit::addon {
namespace {

Napi::Value create_subvolume(const Napi::CallbackInfo& info) {
  Arguments arguments(info, "createSubvolume");
  std::string path = arguments.string("path");
  if (arguments.failed()) return info.Env().Undefined();
  return run(info.Env(), std::make_shared<layer::Cancel>(),
             [path](const layer::Cancel&) { return btrfs::create(path); });
}

Napi::Value snapshot_subvolume(const Napi::CallbackInfo& info) {
  Arguments arguments(info, "snapshotSubvolume");
  std::string from = arguments.string("from");
  std::string to = arguments.string("to");
  bool read_only = arguments.boolean("readOnly");
  if (arguments.failed()) return info.Env().Undefined();
  return run(info.Env(), std::make_shared<layer::Cancel>(),
             [=](const layer::Cancel&) { return btrfs::snapshot(from, to, read_only); });
}

Napi::Value remove_subvolume(const Napi::CallbackInfo& info) {
  Arguments arguments(info, "removeSubvolume");
  std::string path = arguments.string("path");
  if (arguments.failed()) return info.Env().Undefined();
  return run(info.Env(), std::make_shared<layer::Cancel>(),
             [path](const layer::Cancel&) { return btrfs::remove(path); });
}

}  // namespace

void add_btrfs(Napi::Env env, Napi::Object exports) {
  exports.Set("createSubvolume", Napi::Function::New<create_subvolume>(env, "createSubvolume"));
  exports.Set("snapshotSubvolume",
              Napi::Function::New<snapshot_subvolume>(env, "snapshotSubvolume"));
  exports.Set("removeSubvolume", Napi::Function::New<remove_subvolume>(env, "removeSubvolume"));
}

}  // namespace davit::addon
