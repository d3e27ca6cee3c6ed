// Environment: what the addon keeps per JavaScript environment; there are no globals.
#pragma once

#include <napi.h>

#include <memory>
#include <unordered_set>

#include "native/layer/cancel.h"

namespace davit::addon {

using SharedCancel = std::shared_ptr<layer::Cancel>;

class Environment {
 public:
  explicit Environment(Napi::Env env);

  static Environment& of(Napi::Env env) { return *env.GetInstanceData<Environment>(); }

  std::unordered_multiset<layer::Cancel*> cancels;  // of the jobs that run
  Napi::FunctionReference cancel_class;
};

// CancelHandle: JavaScript's end of a Cancel.
class CancelHandle : public Napi::ObjectWrap<CancelHandle> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit CancelHandle(const Napi::CallbackInfo& info) : ObjectWrap(info) {}

  SharedCancel cancel = std::make_shared<layer::Cancel>();

 private:
  Napi::Value request(const Napi::CallbackInfo& info);
};

}  // namespace davit::addon
