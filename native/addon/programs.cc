#include "native/addon/arguments.h"
#include "native/addon/bindings.h"
#include "native/addon/job.h"
#include "native/kernel/find_process.h"
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

Napi::Value end_processes(const Napi::CallbackInfo& info) {
  Arguments arguments(info, "endProcesses");
  kernel::CommandLine wanted{.program = arguments.string("program"),
                             .words = arguments.strings("words")};
  int timeout_ms = static_cast<int>(arguments.integer("timeoutMs"));
  if (arguments.failed()) return info.Env().Undefined();
  return run<std::vector<pid_t>>(
      info.Env(), std::make_shared<layer::Cancel>(),
      [wanted = std::move(wanted), timeout_ms](const layer::Cancel&) {
        return kernel::end_processes(wanted, timeout_ms);
      },
      [](Napi::Env env, const std::vector<pid_t>& pids) {
        Napi::Array array = Napi::Array::New(env, pids.size());
        for (uint32_t i = 0; i < pids.size(); i++) array.Set(i, pids[i]);
        return array;
      });
}

}  // namespace

void add_programs(Napi::Env env, Napi::Object exports) {
  exports.Set("runProgram", Napi::Function::New<run_program>(env, "runProgram"));
  exports.Set("endProcesses", Napi::Function::New<end_processes>(env, "endProcesses"));
}

}  // namespace davit::addon
