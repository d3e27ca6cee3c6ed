// The criu program, found through PATH.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "native/kernel/result.h"

namespace davit::oci {

struct CriuRun {
  std::vector<std::string> args;      // without the program's name
  std::string log;                    // whose errors explain a failure
  int cgroup = -1;                    // to be born in (v2)
  std::function<Result<>()> prepare;  // in the child, before criu begins
  int deadline_ms = 0;
};

// Runs it to its end. ENOENT when there is none.
Result<> run_criu(const CriuRun& run);

}  // namespace davit::oci
