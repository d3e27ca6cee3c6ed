#include "native/addon/arguments.h"
#include "native/addon/bindings.h"
#include "native/addon/job.h"
#include "native/kernel/program.h"

namespace davit::addon {
namespace {

Napi::Value outcome_to_js(Napi::Env env, const program::Outcome& outcome) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("code", outcome.code);
  object.Set("signal", outcome.signal);
  object.Set("timedOut", outcome.timed_out);
  object.Set("stdout", Napi::Buffer<char>::Copy(env, outcome.out.data(), outcome.out.size()));
  object.Set("stderr", Napi::Buffer<char>::Copy(env, outcome.err.data(), outcome.err.size()));
  return object;
}

Napi::Value run_program(const Napi::CallbackInfo& info) {
  Arguments arguments(info, "runProgram");
  program::Program program;
  program.file = arguments.string("file");
  program.argv = arguments.strings("argv");
  program.env = arguments.strings("env");
  program.cwd = arguments.string_or_null("cwd").value_or("");
  program.input = arguments.bytes_or_null("input").value_or("");
  program.timeout_ms = static_cast<int>(arguments.integer("timeoutMs"));
  if (arguments.failed()) return info.Env().Undefined();
  return run<program::Outcome>(
      info.Env(), std::make_shared<layer::Cancel>(),
      [program = std::move(program)](const layer::Cancel& token) {
        return program::run(program, [&] { return token.requested(); });
      },
      outcome_to_js);
}

}  // namespace

void add_programs(Napi::Env env, Napi::Object exports) {
  exports.Set("runProgram", Napi::Function::New<run_program>(env, "runProgram"));
}

}  // namespace davit::addon
