// What the shim calls itself.
#pragma once

#ifndef DAVIT_VERSION
#define DAVIT_VERSION "0.1.0"
#endif
#ifndef DAVIT_REVISION
#define DAVIT_REVISION ""
#endif

namespace davit::shim {

constexpr char kVersion[] = DAVIT_VERSION;
constexpr char kRevision[] = DAVIT_REVISION;
constexpr char kName[] = "containerd-shim-davit-v1";
constexpr char kRuntime[] = "io.containerd.davit.v1";

}  // namespace davit::shim
