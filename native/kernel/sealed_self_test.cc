// Linked as the programs are that enter containers: it looks at itself.
#include "native/kernel/sealed_self.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "native/kernel/file.h"

using namespace davit;

bool kernel::enters_containers(int argc, char** argv) {
  return argc > 1 && argv[1][0] == 's';
}

namespace {

int failures = 0;
void check(bool holds, const char* what) {
  if (holds) return;
  ::printf("%s\n", what);
  ++failures;
}

// Behind them in the file lies something else, which must not come to be seen here.
volatile char zeros[64 << 10];
volatile int five = 5;

std::string joined(char** words) {
  std::string out;
  for (; *words != nullptr; ++words) out.append(*words, ::strlen(*words) + 1);
  return out;
}

void sealed(char** argv) {
  check(kernel::running_sealed(), "not sealed");
  check(kernel::seal_mount > 2, "the mount is not known");
  check(::access("/proc/self/exe", W_OK) != 0 && errno == EROFS, "may be written to");
  bool clean = five == 5;
  for (volatile char& one : zeros) clean = clean && one == 0;
  check(clean, "data is not as it was built");
  auto words = kernel::read_file(AT_FDCWD, "/proc/self/cmdline", 1 << 20);
  check(words && *words == joined(argv), "/proc/self/cmdline is another");
  auto env = kernel::read_file(AT_FDCWD, "/proc/self/environ", 1 << 20);
  check(env && *env == joined(environ), "/proc/self/environ is another");
  kernel::let_go_of_seal();
  check(kernel::running_sealed(), "not sealed without the mount");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1) {
    sealed(argv);
    return failures == 0 ? 0 : 1;
  }
  if (::geteuid() != 0) return 77;  // only root may mount
  check(!kernel::running_sealed() && ::access("/proc/self/exe", W_OK) == 0, "sealed unasked");
  // Standard streams that are closed stay closed.
  for (const char* closed : {"", " <&-", " <&- >&-"}) {
    std::string command = std::string(argv[0]) + " sealed 'two words' ''" + closed;
    check(::system(command.c_str()) == 0, command.c_str());
  }
  return failures == 0 ? 0 : 1;
}
