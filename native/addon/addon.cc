#include "native/addon/bindings.h"
#include "native/addon/environment.h"

namespace davit::addon {
namespace {

Napi::Object init(Napi::Env env, Napi::Object exports) {
  auto* environment = new Environment(env);
  env.SetInstanceData(environment);
  exports.Set("CancelHandle", environment->cancel_class.Value());
  add_mounts(env, exports);
  add_copy(env, exports);
  add_layers(env, exports);
  add_archives(env, exports);
  add_trees(env, exports);
  add_btrfs(env, exports);
  add_programs(env, exports);
  add_ask(env, exports);
  return exports;
}

}  // namespace
}  // namespace davit::addon

static Napi::Object davit_init(Napi::Env env, Napi::Object exports) {
  return davit::addon::init(env, exports);
}
NODE_API_MODULE(davit, davit_init)
