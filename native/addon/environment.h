// Environment: what the addon keeps per JavaScript environment; there are no globals.
#pragma once

#include <napi.h>

#include <memory>
#include <unordered_set>

#include "native/layer/cancel.h"

namespace davit::addon {

using SharedCancel = std::shared_ptr<layer::Cancel>;

class Job;

// Ends with the environment: asks all running jobs to stop and waits for their threads.
class Environment {
 public:
  explicit Environment(Napi::Env env);
  ~Environment();
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

  static Environment& of(Napi::Env env) { return *env.GetInstanceData<Environment>(); }

  std::unordered_set<Job*> jobs;
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
