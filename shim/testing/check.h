// The few lines that the C++ tests need: CHECK counts failures, the program's exit code tells.
#pragma once

#include <cstdio>

namespace davit::testing {

inline int failures = 0;

// For the end of main: 0 when every CHECK held.
inline int result() {
  if (failures != 0) std::fprintf(stderr, "%d checks failed\n", failures);
  return failures == 0 ? 0 : 1;
}

}  // namespace davit::testing

#define CHECK(condition)                                                   \
  do {                                                                     \
    if (!(condition)) {                                                    \
      std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
      davit::testing::failures++;                                          \
    }                                                                      \
  } while (0)
