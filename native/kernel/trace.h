// Where the time of a start goes: steps with the moment at which each was done, of this process
// and of those cloned from it. Off (one comparison a step) until begin() is called.
#pragma once

#include <cstdint>

#include "native/kernel/result.h"

namespace davit::trace {

struct Page;
extern Page* page;

// Before any clone. The first step is "begin", at `from_ns` of the realtime clock or (0) now.
Result<> begin(std::int64_t from_ns = 0);
std::int64_t begun_ns();
void note(const char* step);

// `step` must live as long as the program does.
inline void mark(const char* step) {
  if (page != nullptr) note(step);
}

// A line per step: microseconds since begin, since the step before it, which process, its name.
void print(int fd);

}  // namespace davit::trace
