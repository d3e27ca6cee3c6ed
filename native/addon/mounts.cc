#include "native/kernel/mount_spec.h"

#include <sched.h>

#include "native/addon/arguments.h"
#include "native/addon/bindings.h"
#include "native/addon/job.h"
#include "native/kernel/loop_device.h"
#include "native/kernel/mount_table.h"
#include "native/kernel/overlay_probe.h"

namespace davit::addon {
namespace {

mount_spec::Spec spec_from(Arguments& arguments) {
  mount_spec::Spec spec;
  spec.type = arguments.string("type");
  spec.source = arguments.string("source");
  spec.options = arguments.strings("options");
  return spec;
}

Napi::Value mount_all(const Napi::CallbackInfo& info) {
  Arguments arguments(info, "mountAll");
  std::vector<mount_spec::Spec> specs;
  for (Arguments& one : arguments.objects("mounts")) specs.push_back(spec_from(one));
  std::string target = arguments.string("target");
  if (arguments.failed()) return info.Env().Undefined();
  return run(info.Env(), std::make_shared<layer::Cancel>(),
             [specs = std::move(specs), target](const layer::Cancel&) -> Result<> {
               // Mounting may change the working directory, which must stay this thread's matter.
               if (unshare(CLONE_FS) < 0) return fail_errno("unshare working directory");
               return mount_spec::mount_all(specs, target);
             });
}

template <typename Unmount>
Napi::Value unmount_with(const Napi::CallbackInfo& info, const char* name, Unmount unmount) {
  Arguments arguments(info, name);
  std::string target = arguments.string("target");
  bool detach = arguments.boolean("detach");
  int64_t patience = arguments.integer("patienceMs");
  if (arguments.failed()) return info.Env().Undefined();
  return run(info.Env(), std::make_shared<layer::Cancel>(), [=](const layer::Cancel&) {
    return unmount(target, detach, static_cast<int>(patience));
  });
}

Napi::Value unmount(const Napi::CallbackInfo& info) {
  return unmount_with(info, "unmount", mount_spec::unmount);
}

Napi::Value unmount_all(const Napi::CallbackInfo& info) {
  return unmount_with(info, "unmountAll", mount_spec::unmount_all);
}

Napi::Value attach_loop(const Napi::CallbackInfo& info) {
  Arguments arguments(info, "attachLoop");
  std::string file = arguments.string("file");
  std::string link = arguments.string("link");
  bool read_only = arguments.boolean("readOnly");
  if (arguments.failed()) return info.Env().Undefined();
  return run(info.Env(), std::make_shared<layer::Cancel>(),
             [=](const layer::Cancel&) { return loop_device::attach_at(file, read_only, link); });
}

Napi::Value detach_loop(const Napi::CallbackInfo& info) {
  Arguments arguments(info, "detachLoop");
  std::string link = arguments.string("link");
  if (arguments.failed()) return info.Env().Undefined();
  return run(info.Env(), std::make_shared<layer::Cancel>(),
             [=](const layer::Cancel&) { return loop_device::detach_at(link); });
}

Napi::Object entry_to_js(Napi::Env env, const mount_table::Entry& entry) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("id", entry.id);
  object.Set("parent", entry.parent);
  object.Set("root", entry.root);
  object.Set("target", entry.target);
  object.Set("options", entry.options);
  object.Set("type", entry.type);
  object.Set("source", entry.source);
  object.Set("superOptions", entry.super_options);
  return object;
}

Napi::Value lookup_mount(const Napi::CallbackInfo& info) {
  Arguments arguments(info, "lookupMount");
  std::string path = arguments.string("path");
  if (arguments.failed()) return info.Env().Undefined();
  return run<mount_table::Entry>(
      info.Env(), std::make_shared<layer::Cancel>(),
      [path](const layer::Cancel&) { return mount_table::lookup(path); }, entry_to_js);
}

Napi::Value list_mounts(const Napi::CallbackInfo& info) {
  using Entries = std::vector<mount_table::Entry>;
  return run<Entries>(
      info.Env(), std::make_shared<layer::Cancel>(),
      [](const layer::Cancel&) { return mount_table::read(); },
      [](Napi::Env env, const Entries& entries) {
        Napi::Array array = Napi::Array::New(env, entries.size());
        for (uint32_t i = 0; i < entries.size(); i++) array.Set(i, entry_to_js(env, entries[i]));
        return array;
      });
}

Napi::Value probe(const Napi::CallbackInfo& info) {
  Arguments arguments(info, "probeOverlay");
  std::string directory = arguments.string("directory");
  if (arguments.failed()) return info.Env().Undefined();
  return run<OverlaySupport>(
      info.Env(), std::make_shared<layer::Cancel>(),
      [directory](const layer::Cancel&) { return probe_overlay(directory); },
      [](Napi::Env env, const OverlaySupport& support) {
        Napi::Object object = Napi::Object::New(env);
        object.Set("supported", support.supported);
        object.Set("reason", support.reason);
        object.Set("userXattr", support.user_xattr);
        return object;
      });
}

}  // namespace

void add_mounts(Napi::Env env, Napi::Object exports) {
  exports.Set("mountAll", Napi::Function::New<mount_all>(env, "mountAll"));
  exports.Set("unmount", Napi::Function::New<unmount>(env, "unmount"));
  exports.Set("unmountAll", Napi::Function::New<unmount_all>(env, "unmountAll"));
  exports.Set("attachLoop", Napi::Function::New<attach_loop>(env, "attachLoop"));
  exports.Set("detachLoop", Napi::Function::New<detach_loop>(env, "detachLoop"));
  exports.Set("lookupMount", Napi::Function::New<lookup_mount>(env, "lookupMount"));
  exports.Set("listMounts", Napi::Function::New<list_mounts>(env, "listMounts"));
  exports.Set("probeOverlay", Napi::Function::New<probe>(env, "probeOverlay"));
}

}  // namespace davit::addon
