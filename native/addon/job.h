// Job: work on a thread of its own, and the promise for it. When the environment ends first, the
// job is cancelled and its thread waited for.
//
// A thread each, not libuv's pool: a layer takes seconds and a program's end may take longer, and
// four of them would stop every file operation of the process.
#pragma once

#include <napi.h>

#include <functional>

#include "native/addon/environment.h"
#include "native/kernel/result.h"
#include "native/layer/thread.h"

namespace davit::addon {

class Job {
 public:
  virtual ~Job() = default;

  // Starts `job`, which deletes itself when it has settled its promise.
  static Napi::Value start(Napi::Env env, std::unique_ptr<Job> job);

 protected:
  explicit Job(SharedCancel cancel) : cancel_(std::move(cancel)) {}
  // On the job's thread: no JavaScript here.
  virtual void execute(const layer::Cancel& cancel) = 0;
  // On JavaScript's thread, after execute(): whether it succeeded, and what the promise gets.
  virtual bool outcome(Napi::Env env, Napi::Value& value) = 0;

 private:
  static void on_done(napi_env env, napi_value, void* context, void*);
  static void on_environment_end(void* job);
  void forget();

  SharedCancel cancel_;
  Environment* environment_ = nullptr;
  napi_threadsafe_function done_ = nullptr;
  napi_deferred deferred_ = nullptr;
  layer::Thread thread_;
};

// An Error with `errno`, the errno's name or null, and `operation`, what failed, without errno's
// words.
Napi::Error to_js(Napi::Env env, const Error& error);

template <typename T>
class ResultJob : public Job {
 public:
  using Work = std::function<Result<T>(const layer::Cancel&)>;
  using Convert = std::function<Napi::Value(Napi::Env, const T&)>;

  ResultJob(SharedCancel cancel, Work work, Convert convert)
      : Job(std::move(cancel)), work_(std::move(work)), convert_(std::move(convert)) {}

 protected:
  void execute(const layer::Cancel& cancel) override { result_ = work_(cancel); }
  bool outcome(Napi::Env env, Napi::Value& value) override {
    value = result_ ? convert_(env, *result_) : to_js(env, result_.error()).Value();
    return result_.has_value();
  }

 private:
  Work work_;
  Convert convert_;
  Result<T> result_ = fail(0, "not run");
};

// Runs `work` on a thread of its own; the promise gets what `convert` makes of its result.
template <typename T>
Napi::Value run(Napi::Env env, SharedCancel cancel, typename ResultJob<T>::Work work,
                typename ResultJob<T>::Convert convert) {
  return Job::start(
      env, std::make_unique<ResultJob<T>>(std::move(cancel), std::move(work), std::move(convert)));
}

// The same for work without a result.
Napi::Value run(Napi::Env env, SharedCancel cancel,
                std::function<Result<>(const layer::Cancel&)> work);

}  // namespace davit::addon
