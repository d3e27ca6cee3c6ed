// While a checkpoint is written the shim goes on answering. The criu here does nothing until it is
// told, and then fails.
//
//   checkpoint_test SHIM
#include "shim/testing/box.h"

using namespace davit;
using namespace davit::testing;

namespace {

std::string tools() {
  return root + "/tools";
}

void write_criu() {
  mkdir(tools().c_str(), 0700);
  const std::string path = tools() + "/criu";
  write_file(path, "#!/bin/sh\necho $$ >" + root + "/criu.pid\nwhile [ ! -e " + root +
                       "/go ]; do sleep 0.02; done\nexit 1\n");
  CHECK(chmod(path.c_str(), 0700) == 0);
}

void start(Box& box) {
  CHECK(box.create().code == Code::kOk);
  CHECK(box.call("Start", box.about()).code == Code::kOk);
}

uint32_t start_checkpoint(Box& box) {
  pb::Writer w;
  w.text(1, box.id);
  w.text(2, box.bundle + "/images");
  const uint32_t stream = box.send("Checkpoint", w.data());
  for (int i = 0; i < 500 && read_file(root + "/criu.pid").empty(); i++) usleep(10'000);
  CHECK(!read_file(root + "/criu.pid").empty());
  return stream;
}

void let_go() {
  write_file(root + "/go", "");
}

void again() {
  unlink((root + "/go").c_str());
  unlink((root + "/criu.pid").c_str());
}

Options with_criu() {
  return {.environment = "PATH=" + tools() + ":$PATH"};
}

void answers_meanwhile() {
  Box box({"sleep", "1000"}, with_criu());
  start(box);
  const uint32_t saving = start_checkpoint(box);
  CHECK(box.status() == 2);
  CHECK(box.call("Pids", box.about()).code == Code::kOk);
  CHECK(box.call("Stats", box.about()).code == Code::kOk);
  CHECK(box.call("Kill", box.about("", 28)).code == Code::kOk);  // SIGWINCH
  const char* busy = "container is being checkpointed: failed precondition";
  expect(box.call("Pause", box.about()), Code::kFailedPrecondition, busy);
  expect(box.call("Checkpoint", box.about()), Code::kFailedPrecondition, busy);
  expect(box.exec("late", {"true"}), Code::kFailedPrecondition, busy);
  let_go();
  const Answer saved = box.receive();
  CHECK(saved.stream == saving);
  expect(saved, Code::kUnknown, "checkpoint: criu has ended");
  CHECK(box.call("Pause", box.about()).code == Code::kOk);
  CHECK(box.call("Kill", box.about("", 9)).code == Code::kOk);
  CHECK(box.wait() == 137);
  CHECK(box.call("Delete", box.about()).code == Code::kOk);
  again();
}

// Its end is told when criu lets go of it, and what asked for the checkpoint is answered.
void killed_meanwhile() {
  Box box({"sleep", "1000"}, with_criu());
  start(box);
  const uint32_t saving = start_checkpoint(box);
  CHECK(box.call("Kill", box.about("", 9)).code == Code::kOk);
  let_go();
  CHECK(box.receive().stream == saving);
  CHECK(box.wait() == 137);
  CHECK(box.call("Delete", box.about()).code == Code::kOk);
  again();
}

// Neither it nor the container outlives a shim that is told to go.
void shut_down_meanwhile() {
  Box box({"sleep", "1000"}, with_criu());
  start(box);
  start_checkpoint(box);
  const int criu = std::stoi(read_file(root + "/criu.pid"));
  CHECK(kill(criu, 0) == 0);
  pb::Writer w;
  w.text(1, box.id);
  w.boolean(2, true);
  box.send("Shutdown", w.data());
  while (box.client->receive(3000)) {
  }
  CHECK(box.client->closed());
  CHECK(kill(criu, 0) != 0);
  let_go();
  again();
}

void all() {
  write_criu();
  answers_meanwhile();
  killed_meanwhile();
  shut_down_meanwhile();
}

}  // namespace

int main(int argc, char** argv) {
  return run_tests(argc, argv, all);
}
