// runProgram(file, args, env, cwd, input, timeoutMs): every run has a thread of its own, so that a
// program that hangs takes none of those that Node's file system calls and the database share.
#include "native/addon/program.h"

#include <pthread.h>
#include <signal.h>

#include <memory>
#include <optional>
#include <utility>

#include "native/kernel/program.h"

namespace davit::addon {

namespace {

struct Run {
  program::Program program;
  std::optional<Result<program::Outcome>> outcome;
  Napi::Promise::Deferred deferred;
  Napi::ThreadSafeFunction done;
};

std::vector<std::string> strings(const Napi::Value& value) {
  const auto array = value.As<Napi::Array>();
  std::vector<std::string> result;
  result.reserve(array.Length());
  for (uint32_t index = 0; index < array.Length(); index++) {
    result.push_back(array.Get(index).As<Napi::String>());
  }
  return result;
}

Napi::Value to_js(Napi::Env env, const program::Outcome& outcome) {
  auto object = Napi::Object::New(env);
  object.Set("code", outcome.code);
  object.Set("signal", outcome.signal);
  object.Set("timedOut", outcome.timed_out);
  object.Set("stdout", Napi::Buffer<char>::Copy(env, outcome.out.data(), outcome.out.size()));
  object.Set("stderr", Napi::Buffer<char>::Copy(env, outcome.err.data(), outcome.err.size()));
  return object;
}

// On Node's thread.
void settle(Napi::Env env, Run* run) {
  const std::unique_ptr<Run> owned(run);
  run->done.Release();
  const auto& outcome = *run->outcome;
  if (outcome) {
    run->deferred.Resolve(to_js(env, *outcome));
  } else {
    run->deferred.Reject(Napi::Error::New(env, outcome.error().text()).Value());
  }
}

// On the run's own thread.
void* work(void* argument) {
  auto* run = static_cast<Run*>(argument);
  run->outcome.emplace(program::run(run->program));
  run->done.BlockingCall(run, [](Napi::Env env, Napi::Function, Run* done) { settle(env, done); });
  return nullptr;
}

// Signals are Node's: its thread must get them.
int start_thread(Run* run) {
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_attr_t attributes;
  ::pthread_attr_init(&attributes);
  ::pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  ::pthread_attr_setstacksize(&attributes, 256 * 1024);
  pthread_t thread;
  const int error = ::pthread_create(&thread, &attributes, work, run);
  ::pthread_attr_destroy(&attributes);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return error;
}

Napi::Value run_program(const Napi::CallbackInfo& info) {
  const auto env = info.Env();
  const auto input = info[4].As<Napi::Uint8Array>();
  auto run = std::make_unique<Run>(Run{
      .program = {.file = info[0].As<Napi::String>(),
                  .argv = strings(info[1]),
                  .env = strings(info[2]),
                  .cwd = info[3].As<Napi::String>(),
                  .input =
                      std::string(reinterpret_cast<const char*>(input.Data()), input.ByteLength()),
                  .timeout_ms = info[5].As<Napi::Number>()},
      .outcome = std::nullopt,
      .deferred = Napi::Promise::Deferred::New(env),
      .done = {},
  });
  run->done = Napi::ThreadSafeFunction::New(env, Napi::Function(), "davit.runProgram", 1, 1);
  const auto promise = run->deferred.Promise();
  if (const int error = start_thread(run.get()); error != 0) {
    run->outcome.emplace(fail(error, "start a thread"));
    settle(env, run.release());
    return promise;
  }
  (void)run.release();  // settle() owns it now
  return promise;
}

}  // namespace

void export_program(Napi::Env env, Napi::Object exports) {
  exports.Set("runProgram", Napi::Function::New(env, run_program, "runProgram"));
}

}  // namespace davit::addon
