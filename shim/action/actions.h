// What the program does besides serving: each returns the exit code.
#pragma once

#include "shim/action/args.h"

namespace davit::shim {

// Makes the socket, leaves a serving shim behind, prints where it is.
int start_action(const Args& args, const char* program);
// Cleans up after a shim that is gone or will not go, prints an encoded DeleteResponse.
int delete_action(const Args& args);
// Prints an encoded RuntimeInfo.
int info_action();
int version_action();
// Serves on descriptor 3 until told to go.
int serve_action(const Args& args, char** argv);

}  // namespace davit::shim
