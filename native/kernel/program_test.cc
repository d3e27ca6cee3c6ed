// Real programs: shells that read, write, hang and leave children behind.
#include "native/kernel/program.h"

#include <signal.h>
#include <time.h>
#include <unistd.h>

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

using davit::program::Outcome;
using davit::program::Program;

Program shell(const std::string& script) {
  return {.file = "/bin/sh",
          .argv = {"sh", "-c", script},
          .env = {"A=1", "PATH=/usr/bin:/bin"},
          .cwd = "/",
          .input = "",
          .timeout_ms = 10'000};
}

Outcome outcome_of(const Program& program) {
  auto outcome = davit::program::run(program);
  CHECK(outcome.has_value());
  return outcome ? *outcome : Outcome{};
}

long now_ms() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1'000'000;
}

void test_streams() {
  Program program = shell("pwd; echo $A >&2; cat; exit 3");
  program.input = "input";
  const Outcome outcome = outcome_of(program);
  CHECK(outcome.out == "/\ninput");
  CHECK(outcome.err == "1\n");
  CHECK(outcome.code == 3 && outcome.signal == 0 && !outcome.timed_out);
}

void test_large() {
  Program program = shell("cat; head -c 3000000 /dev/zero");
  program.input = std::string(300'000, 'x');
  const Outcome outcome = outcome_of(program);
  CHECK(outcome.out.size() == 1 << 20);
  CHECK(outcome.code == 0);
}

void test_unread_input() {
  Program program = shell("exec <&-; echo done");
  program.input = std::string(300'000, 'x');
  CHECK(outcome_of(program).out == "done\n");
}

void test_signal() {
  const Outcome outcome = outcome_of(shell("kill -TERM $$"));
  CHECK(outcome.signal == SIGTERM);
}

void test_session() {
  // Its own session and group, and no signal is blocked or ignored.
  const Outcome outcome =
      outcome_of(shell("ps -o sid=,pgid= $$; grep -E 'Sig(Blk|Ign)' /proc/self/status; echo $$"));
  int sid = 0;
  int group = 0;
  CHECK(std::sscanf(outcome.out.c_str(), "%d %d", &sid, &group) == 2);
  CHECK(sid == group && sid != ::getsid(0));
  CHECK(outcome.out.find("SigBlk:\t0000000000000000") != std::string::npos);
  CHECK(outcome.out.find("SigIgn:\t0000000000000000") != std::string::npos);
}

void test_timeout() {
  Program program = shell("sleep 60 & sleep 60");
  program.timeout_ms = 200;
  const long began = now_ms();
  const Outcome outcome = outcome_of(program);
  CHECK(outcome.timed_out && outcome.signal == SIGKILL);
  CHECK(now_ms() - began < 5000);
}

void test_child_left_behind() {
  const long began = now_ms();
  const Outcome outcome = outcome_of(shell("sleep 5 & echo answer"));
  CHECK(outcome.out == "answer\n" && outcome.code == 0 && !outcome.timed_out);
  CHECK(now_ms() - began < 4000);
}

void test_absent() {
  Program program = shell("");
  program.file = "/no/such/program";
  const auto outcome = davit::program::run(program);
  CHECK(!outcome.has_value() && outcome.error().code == ENOENT);
  program.file = "/bin/sh";
  program.cwd = "/no/such/folder";
  CHECK(!davit::program::run(program).has_value());
}

}  // namespace

int main() {
  ::signal(SIGPIPE, SIG_IGN);  // as in the daemon; the programs must not inherit it
  test_streams();
  test_large();
  test_unread_input();
  test_signal();
  test_session();
  test_timeout();
  test_child_left_behind();
  test_absent();
  return failures == 0 ? 0 : 1;
}
