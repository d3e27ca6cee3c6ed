// Which request is allowed when, and the words of each refusal.
#include "shim/task/state.h"

#include "shim/testing/check.h"

using namespace davit;
using namespace davit::shim;
using ttrpc::Code;

namespace {

void expect(Operation operation, Phase phase, bool is_exec, Code code, const char* message) {
  const auto status = check(operation, phase, is_exec);
  CHECK(status.code == code);
  CHECK(status.message == message);
  if (status.message != message) std::fprintf(stderr, "  got: %s\n", status.message.c_str());
}

}  // namespace

int main() {
  for (const bool exec : {false, true}) {
    expect(Operation::kStart, Phase::kCreated, exec, Code::kOk, "");
    expect(Operation::kStart, Phase::kRunning, exec, Code::kUnknown,
           "cannot start a running process");
    expect(Operation::kStart, Phase::kStopped, exec, Code::kUnknown,
           "cannot start a stopped process");
    expect(Operation::kDelete, Phase::kRunning, exec, Code::kUnknown,
           "cannot delete a running process");
    expect(Operation::kDelete, Phase::kStopped, exec, Code::kOk, "");
    expect(Operation::kDelete, Phase::kDeleting, exec, Code::kNotFound,
           "cannot delete a deleted process: not found");
    expect(Operation::kKill, Phase::kRunning, exec, Code::kOk, "");
    expect(Operation::kKill, Phase::kStopped, exec, Code::kNotFound,
           "process already finished: not found");
  }
  expect(Operation::kDelete, Phase::kPaused, false, Code::kUnknown,
         "cannot delete a paused process");
  expect(Operation::kKill, Phase::kCreated, false, Code::kOk, "");
  expect(Operation::kKill, Phase::kCreated, true, Code::kFailedPrecondition,
         "process not created: failed precondition");
  expect(Operation::kPause, Phase::kRunning, false, Code::kOk, "");
  expect(Operation::kPause, Phase::kCreated, false, Code::kUnknown,
         "cannot pause task in created state");
  expect(Operation::kPause, Phase::kPaused, false, Code::kUnknown,
         "cannot pause a paused container");
  expect(Operation::kResume, Phase::kPaused, false, Code::kOk, "");
  expect(Operation::kResume, Phase::kRunning, false, Code::kUnknown,
         "cannot resume a running process");
  expect(Operation::kExec, Phase::kRunning, false, Code::kOk, "");
  expect(Operation::kExec, Phase::kPaused, false, Code::kUnknown, "cannot exec in a paused state");
  expect(Operation::kResize, Phase::kStopped, true, Code::kUnknown,
         "cannot resize a stopped process");
  expect(Operation::kUpdate, Phase::kPaused, false, Code::kOk, "");
  expect(Operation::kStart, Phase::kCreating, false, Code::kFailedPrecondition,
         "container is being created: failed precondition");
  CHECK(visible(Phase::kStarting) == wire::Status::kCreated);
  CHECK(visible(Phase::kDeleting) == wire::Status::kStopped);
  return testing::result();
}
