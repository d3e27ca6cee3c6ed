#pragma once

#include <napi.h>

namespace davit::addon {

// runProgram
void export_program(Napi::Env env, Napi::Object exports);

}  // namespace davit::addon
