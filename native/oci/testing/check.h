// What the C++ tests of the executor need: checks that count, texts that are shown when they
// differ.
#pragma once

#include <cstdio>
#include <string>
#include <string_view>

namespace davit::testing {

inline int failures = 0;

// For the end of main. Exit status 77 of main means "skipped" to ctest.
inline int result() {
  if (failures != 0) std::fprintf(stderr, "%d checks failed\n", failures);
  return failures == 0 ? 0 : 1;
}
inline constexpr int kSkipped = 77;

inline bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

}  // namespace davit::testing

#define CHECK(condition)                                                   \
  do {                                                                     \
    if (!(condition)) {                                                    \
      std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
      davit::testing::failures++;                                          \
    }                                                                      \
  } while (0)

#define CHECK_EQUAL(got, want)                                                                  \
  do {                                                                                          \
    std::string davit_got(got), davit_want(want);                                               \
    if (davit_got != davit_want) {                                                              \
      std::fprintf(stderr, "%s:%d: %s is\n  \"%s\", not\n  \"%s\"\n", __FILE__, __LINE__, #got, \
                   davit_got.c_str(), davit_want.c_str());                                      \
      davit::testing::failures++;                                                               \
    }                                                                                           \
  } while (0)

#define CHECK_CONTAINS(text, part)                                                                \
  do {                                                                                            \
    std::string davit_text(text), davit_part(part);                                               \
    if (!davit::testing::contains(davit_text, davit_part)) {                                      \
      std::fprintf(stderr, "%s:%d: %s is\n  \"%s\", which lacks\n  \"%s\"\n", __FILE__, __LINE__, \
                   #text, davit_text.c_str(), davit_part.c_str());                                \
      davit::testing::failures++;                                                                 \
    }                                                                                             \
  } while (0)
