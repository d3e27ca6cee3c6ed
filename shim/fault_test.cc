// What is left when the shim fails or dies at a fault point: nothing that `delete` does not remove.
//
//   shim_fault_test SHIM
#include "shim/testing/box.h"

using namespace davit;
using namespace davit::testing;

namespace {

bool mounted(const Box& box) {
  return read_file("/proc/self/mountinfo").find(box.bundle) != std::string::npos;
}

Options with_fault(const std::string& faults) {
  return {.mount_rootfs = true, .environment = "DAVIT_FAULTS=" + faults};
}

void test_failed_create() {
  Box box({"sleep", "1000"}, with_fault("shim.none=die,shim.create.after-mounts=fail"));
  expect(box.create(), Code::kUnknown, "fault point shim.create.after-mounts: input/output error");
  expect(box.call("State", box.about()), Code::kNotFound, "container not created");
  CHECK(!mounted(box));
}

void test_failed_start() {
  Box box({"sleep", "1000"}, with_fault("shim.start.before=fail"));
  CHECK(box.create().code == Code::kOk);
  expect(box.call("Start", box.about()), Code::kUnknown, "fault point shim.start.before");
  CHECK(box.status() == 1);
  CHECK(box.call("Delete", box.about()).code == Code::kOk);
  CHECK(!mounted(box));
}

// Dies at `place` during one of Create, Start, Exec, its Start, Kill and Delete.
void test_death(const std::string& place) {
  Box box({"sleep", "1000"}, with_fault(place + "=die"));
  pb::Writer create;
  create.text(1, box.id);
  create.text(2, box.bundle);
  create.bytes(3, wire::encode(wire::Mount{"bind", root + "/rootfs", "", {"rbind", "rw"}}));
  pb::Writer exec;
  exec.text(1, box.id);
  exec.text(2, "e");
  exec.bytes(7, wire::encode(wire::Any{"process", process_json({"sleep", "1000"})}));
  const std::pair<const char*, std::string> calls[] = {
      {"Create", create.take()}, {"Start", box.about()},           {"Exec", exec.take()},
      {"Start", box.about("e")}, {"Kill", box.about("", SIGKILL)}, {"Wait", box.about()},
      {"Delete", box.about()},
  };
  bool dead = false;
  box.stream = 1;
  for (const auto& [method, payload] : calls) {
    const std::string frame =
        ttrpc::request_frame(box.stream += 2, "containerd.task.v2.Task", method, payload, 0);
    // It may have died of the last call since it answered.
    (void)::send(box.client->fd.get(), frame.data(), frame.size(), MSG_NOSIGNAL);
    if (box.client->receive(15'000)) continue;
    dead = box.client->closed();
    break;
  }
  if (!dead) std::fprintf(stderr, "%s: the shim did not die\n", place.c_str());
  CHECK(dead);
  CHECK(!run_shim(box.bundle, box.id, "delete").empty());
  CHECK(!mounted(box));
  CHECK(access((box.bundle + "/state.json").c_str(), F_OK) != 0);
  CHECK(system(("! ls -d /sys/fs/cgroup/*/" + cgroup_parent + "/" + box.id + " 2>/dev/null")
                   .c_str()) == 0);
}

// What the delete action tells: exit status and pid.
std::pair<uint32_t, uint32_t> deleted(const Box& box) {
  const std::string response = run_shim(box.bundle, box.id, "delete");
  std::pair<uint32_t, uint32_t> out;
  pb::Reader r(response);
  while (r.next()) {
    if (r.field() == 1) out.second = r.u32();
    if (r.field() == 2) out.first = r.u32();
  }
  return out;
}

void test_status_survives() {
  Box box({"sh", "-c", "exit 7"}, {.mount_rootfs = true});
  CHECK(box.create().code == Code::kOk);
  const Answer started = box.call("Start", box.about());
  pb::Reader r(started.text);
  const uint32_t pid = r.next() ? r.u32() : 0;
  CHECK(box.wait() == 7);
  kill(box.shim_pid(), SIGKILL);
  CHECK((deleted(box) == std::pair{7u, pid}));
  CHECK((deleted(box) == std::pair{7u, pid}));  // and again
  CHECK(!mounted(box));
}

void test_status_unseen() {
  Box box({"sh", "-c", "exit 7"}, with_fault("shim.exit.before-status=die"));
  CHECK(box.create().code == Code::kOk);
  box.send("Start", box.about());
  while (box.client->receive(5000)) continue;
  CHECK(deleted(box).first == 137);
}

void test_stall() {
  Box box({"sleep", "1000"}, with_fault("shim.create.before-answer=stall:300"));
  const int64_t begin = shim::monotonic_ms();
  CHECK(box.create().code == Code::kOk);
  CHECK(shim::monotonic_ms() - begin >= 300);
  CHECK(box.call("Delete", box.about()).code == Code::kOk);
}

void all() {
  test_failed_create();
  test_failed_start();
  for (const char* place :
       {"shim.create.after-mounts", "shim.create.after-executor", "shim.create.before-answer",
        "shim.start.before", "shim.start.after", "shim.exec.create", "shim.exec.before-start",
        "shim.exec.after-start", "shim.exit.before-status", "shim.exit.before-event",
        "shim.event.send", "shim.delete.before-unmount", "shim.delete.after-unmount",
        "shim.delete.before-answer"}) {
    test_death(place);
  }
  test_status_survives();
  test_status_unseen();
  test_stall();
}

}  // namespace

int main(int argc, char** argv) {
  return run_tests(argc, argv, all);
}
