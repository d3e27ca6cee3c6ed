#include "native/kernel/ask.h"

#include "native/addon/arguments.h"
#include "native/addon/bindings.h"
#include "native/addon/job.h"

namespace davit::addon {
namespace {

using Answers = std::vector<ask::Answer>;

Napi::Value answers_to_js(Napi::Env env, const Answers& answers) {
  Napi::Array array = Napi::Array::New(env, answers.size());
  for (uint32_t i = 0; i < answers.size(); i++) {
    const ask::Answer& answer = answers[i];
    if (answer.error != 0) {
      const char* name = strerrorname_np(answer.error);
      array.Set(i, Napi::String::New(env, name == nullptr ? "EIO" : name));
    } else {
      array.Set(i, Napi::Buffer<char>::Copy(env, answer.payload.data(), answer.payload.size()));
    }
  }
  return array;
}

Napi::Value ask_all(const Napi::CallbackInfo& info) {
  Arguments arguments(info, "askAll");
  std::vector<ask::Question> questions;
  for (Arguments& question : arguments.objects("questions")) {
    questions.push_back({question.string("path"), question.bytes_or_null("frame").value_or("")});
  }
  int timeout_ms = static_cast<int>(arguments.integer("timeoutMs"));
  if (arguments.failed()) return info.Env().Undefined();
  return run<Answers>(
      info.Env(), std::make_shared<layer::Cancel>(),
      [questions = std::move(questions), timeout_ms](const layer::Cancel& token) {
        return Result<Answers>(ask::all(questions, timeout_ms, [&] { return token.requested(); }));
      },
      answers_to_js);
}

}  // namespace

void add_ask(Napi::Env env, Napi::Object exports) {
  exports.Set("askAll", Napi::Function::New<ask_all>(env, "askAll"));
}

}  // namespace davit::addon
