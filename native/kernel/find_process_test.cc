// Real processes: some that are meant, some that are nearly.
#include "native/kernel/find_process.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace {

int failures = 0;

#define CHECK(condition)                                                   \
  do {                                                                     \
    if (!(condition)) {                                                    \
      std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
      failures++;                                                          \
    }                                                                      \
  } while (0)

// A process with this command line that does nothing.
pid_t start(const std::string& name, const std::string& id) {
  pid_t pid = ::fork();
  if (pid == 0) {
    ::execl("/bin/sh", name.c_str(), "-c", "read line", "-id", id.c_str(), "-address", "/a",
            nullptr);
    ::_exit(1);
  }
  return pid;
}

bool alive(pid_t pid) {
  return ::waitpid(pid, nullptr, WNOHANG) == 0;
}

}  // namespace

int main() {
  int pipe[2];
  CHECK(::pipe(pipe) == 0 && ::dup2(pipe[0], 0) == 0);
  std::string mark = "find-process-" + std::to_string(::getpid());
  pid_t first = start("/x/" + mark, "1"), second = start(mark, "1");
  pid_t other_id = start(mark, "2"), other_name = start(mark + "x", "1");
  ::usleep(100'000);
  davit::kernel::CommandLine wanted{.program = mark, .words = {"-id", "1", "-address", "/a"}};
  auto ended = davit::kernel::end_processes(wanted, 2000);
  CHECK(ended.has_value() && ended->size() == 2);
  for (pid_t pid : {first, second}) CHECK(ended && std::ranges::count(*ended, pid) == 1);
  for (pid_t pid : {first, second}) CHECK(!alive(pid));
  for (pid_t pid : {other_id, other_name}) CHECK(alive(pid));
  // A flag's value is not the next flag's.
  wanted.words = {"-id", "-address"};
  CHECK(davit::kernel::end_processes(wanted, 0)->empty());
  for (pid_t pid : {other_id, other_name}) {
    CHECK(::kill(pid, SIGKILL) == 0);
    CHECK(::waitpid(pid, nullptr, 0) == pid);
  }
  if (failures == 0) std::puts("ok");
  return failures == 0 ? 0 : 1;
}
