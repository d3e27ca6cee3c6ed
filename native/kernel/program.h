// Runs a program to its end: input in, output out, bounded in time and in what is kept of it.
// Blocks the calling thread; the process is not copied for it, however large it is.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "native/kernel/result.h"

namespace davit::program {

struct Program {
  std::string file;
  std::vector<std::string> argv;  // with the name it is called by
  std::vector<std::string> env;   // NAME=value
  std::string cwd;                // "" = the caller's
  std::string input;              // standard input
  int timeout_ms = 0;
};

struct Outcome {
  int code = 0;    // exit code, when signal is 0
  int signal = 0;  // the signal that ended it
  bool timed_out = false;
  std::string out;
  std::string err;
};

// The program leads a session of its own; on timeout all of its process group is killed. Of each
// output 1 MiB is kept. A child that it leaves behind with its outputs is waited for at most 1 s.
// Fails when it cannot be started. `cancelled`, where given, is asked every 100 ms; once it is true
// the group is killed and the result is ECANCELED.
Result<Outcome> run(const Program& program, const std::function<bool()>& cancelled = {});

}  // namespace davit::program
