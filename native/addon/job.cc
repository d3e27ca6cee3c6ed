#include "native/addon/job.h"

#include <cstring>

namespace davit::addon {
namespace {

struct Nothing {};

}  // namespace

Napi::Error to_js(Napi::Env env, const Error& error) {
  Napi::Error js = Napi::Error::New(env, error.text());
  const char* name = error.code == 0 ? nullptr : strerrorname_np(error.code);
  js.Set("code", name == nullptr ? env.Null() : Napi::String::New(env, name).As<Napi::Value>());
  js.Set("operation", Napi::String::New(env, error.message));
  return js;
}

Napi::Value Job::start(Napi::Env env, std::unique_ptr<Job> owned) {
  Job* job = owned.get();
  napi_value promise = nullptr;
  if (napi_create_promise(env, &job->deferred_, &promise) != napi_ok) return env.Undefined();
  auto refuse = [&](const Error& error) {
    napi_reject_deferred(env, job->deferred_, to_js(env, error).Value());
    return Napi::Value(env, promise);
  };
  Napi::String name = Napi::String::New(env, "davit");
  if (napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, nullptr, nullptr, job,
                                      on_done, &job->done_) != napi_ok) {
    return refuse({0, "prepare thread"});
  }
  // Runs before Node takes the threadsafe function away, because it is registered after that.
  napi_add_env_cleanup_hook(env, on_environment_end, job);
  job->environment_ = &Environment::of(env);
  job->environment_->cancels.insert(job->cancel_.get());
  Result<layer::Thread> thread = layer::Thread::start([job] {
    job->execute(*job->cancel_);
    napi_call_threadsafe_function(job->done_, nullptr, napi_tsfn_nonblocking);
  });
  if (!thread) {
    napi_remove_env_cleanup_hook(env, on_environment_end, job);
    job->forget();
    napi_release_threadsafe_function(job->done_, napi_tsfn_abort);
    return refuse(thread.error());
  }
  job->thread_ = std::move(*thread);
  static_cast<void>(owned.release());
  return Napi::Value(env, promise);
}

void Job::on_environment_end(void* context) {
  std::unique_ptr<Job> job(static_cast<Job*>(context));
  // All of them at once, so that the next ones are about to end when it is their turn.
  for (layer::Cancel* cancel : job->environment_->cancels) cancel->request();
  job->thread_.join();
  job->forget();
}

// A handle may be given to several calls: only this job's element.
void Job::forget() {
  auto& cancels = environment_->cancels;
  cancels.erase(cancels.find(cancel_.get()));
}

void Job::on_done(napi_env raw_env, napi_value, void* context, void*) {
  if (raw_env == nullptr) return;  // on_environment_end() has deleted the job
  std::unique_ptr<Job> job(static_cast<Job*>(context));
  job->thread_.join();
  Napi::Env env(raw_env);
  napi_remove_env_cleanup_hook(env, on_environment_end, job.get());
  job->forget();
  napi_release_threadsafe_function(job->done_, napi_tsfn_release);
  Napi::HandleScope scope(env);
  Napi::Value value;
  bool succeeded = job->outcome(env, value);
  auto settle = succeeded ? napi_resolve_deferred : napi_reject_deferred;
  settle(env, job->deferred_, value);
}

Napi::Value run(Napi::Env env, SharedCancel cancel,
                std::function<Result<>(const layer::Cancel&)> work) {
  return run<Nothing>(
      env, std::move(cancel),
      [work = std::move(work)](const layer::Cancel& token) -> Result<Nothing> {
        DAVIT_TRY(work(token));
        return Nothing{};
      },
      [](Napi::Env result_env, const Nothing&) { return result_env.Undefined(); });
}

Environment::Environment(Napi::Env env)
    : cancel_class(Napi::Persistent(CancelHandle::define(env))) {}

Napi::Function CancelHandle::define(Napi::Env env) {
  return DefineClass(env, "CancelHandle", {InstanceMethod<&CancelHandle::request>("cancel")});
}

Napi::Value CancelHandle::request(const Napi::CallbackInfo& info) {
  cancel->request();
  return info.Env().Undefined();
}

}  // namespace davit::addon
