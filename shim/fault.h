// Named places at which a test makes the shim fail, stall or die; docs/fault-points.md lists them.
//
//   DAVIT_FAULTS=shim.create.after-mounts=die,shim.exit.before-event=stall:2000
//
// The variable is read once, when the program starts; without it a place costs one comparison.
#pragma once

#include "native/kernel/result.h"

namespace davit::shim::fault {

extern bool armed;

void read_environment();
Result<> act(const char* place);

// Does what the test wants to happen at `place`: as a rule nothing. The failure is for the caller
// to treat as that of its own next step.
inline Result<> at(const char* place) {
  return armed ? act(place) : Result<>{};
}

}  // namespace davit::shim::fault
