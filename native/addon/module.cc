// What the addon exports. Each concern adds its functions; see native.d.ts for their types.
#include <napi.h>

#include "native/addon/program.h"

namespace {

Napi::Object init(Napi::Env env, Napi::Object exports) {
  davit::addon::export_program(env, exports);
  return exports;
}

}  // namespace

NODE_API_MODULE(davit, init)
