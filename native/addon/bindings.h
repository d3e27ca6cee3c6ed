// The functions of the addon, by file. Each checks its arguments and starts a Job; what they do and
// take is described in native.d.ts, in the same order.
#pragma once

#include <napi.h>

#include "native/layer/usage.h"

namespace davit::addon {

void add_mounts(Napi::Env env, Napi::Object exports);
void add_copy(Napi::Env env, Napi::Object exports);
void add_archives(Napi::Env env, Napi::Object exports);
void add_layers(Napi::Env env, Napi::Object exports);
void add_trees(Napi::Env env, Napi::Object exports);
void add_btrfs(Napi::Env env, Napi::Object exports);
void add_programs(Napi::Env env, Napi::Object exports);
void add_ask(Napi::Env env, Napi::Object exports);

// A TreeUsage.
Napi::Object usage_to_js(Napi::Env env, const layer::Usage& usage);

}  // namespace davit::addon
