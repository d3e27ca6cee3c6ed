// Ends processes that are known by their command line alone.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "native/kernel/result.h"

namespace davit::kernel {

struct CommandLine {
  std::string program;             // the name of argv[0], without folders
  std::vector<std::string> words;  // pairs of a flag and its value, which follow one another there
};

// Kills every process with this command line and waits for their ends, at most `timeout_ms` in all.
// The pids of those that have ended. A pid that is taken anew meanwhile is not confused with them.
Result<std::vector<pid_t>> end_processes(const CommandLine& wanted, int timeout_ms);

}  // namespace davit::kernel
