// The program as a daemon meets it: started, spoken to over ttrpc, its events received, killed.
//
//   shim_test SHIM
#include "shim/testing/box.h"

using namespace davit;
using namespace davit::testing;

namespace {

using Topics = std::vector<std::string>;

void test_life() {
  Box box({"sh", "-c", "exit 7"});
  expect(box.call("State", box.about()), Code::kNotFound, "container not created: not found");
  CHECK(box.create().code == Code::kOk);
  expect(box.create(), Code::kAlreadyExists, "already exists");
  CHECK(box.status() == 1);
  expect(box.call("Pause", box.about()), Code::kUnknown, "cannot pause task in created state");
  const uint32_t waiting = box.send("Wait", box.about());
  CHECK(box.call("Start", box.about()).code == Code::kOk);
  const Answer waited = box.receive();
  CHECK(waited.stream == waiting && waited.text.starts_with("\x08\x07"));
  CHECK(box.wait() == 7);  // once more, at once
  CHECK(box.status() == 3);
  expect(box.call("Kill", box.about("", 9)), Code::kNotFound, "process already finished");
  expect(box.exec("e", {"true"}), Code::kFailedPrecondition, "init process is not running");
  CHECK(box.call("Shutdown", box.about()).code == Code::kOk);  // a container is still there
  CHECK(box.call("Delete", box.about()).code == Code::kOk);
  expect(box.call("Delete", box.about()), Code::kNotFound, "not found");
  CHECK((box.events() == Topics{"/tasks/create", "/tasks/start", "/tasks/exit", "/tasks/delete"}));
  CHECK(box.call("Shutdown", box.about()).code == Code::kOk);
  CHECK(!box.client->receive(2000) && box.client->closed());
}

void test_execs() {
  Box box({"sleep", "1000"});
  CHECK(box.create().code == Code::kOk);
  CHECK(box.call("Start", box.about()).code == Code::kOk);
  expect(box.call("State", box.about("none")), Code::kNotFound, "process does not exist none");
  CHECK(box.exec("one", {"sh", "-c", "exit 3"}).code == Code::kOk);
  expect(box.exec("one", {"true"}), Code::kAlreadyExists, "id one: already exists");
  expect(box.call("Kill", box.about("one", 9)), Code::kFailedPrecondition, "process not created");
  CHECK(box.call("Start", box.about("one")).code == Code::kOk);
  CHECK(box.wait("one") == 3);
  CHECK(box.call("Delete", box.about("one")).code == Code::kOk);
  expect(box.call("Delete", box.about("one")), Code::kNotFound, "process does not exist one");

  CHECK(box.exec("bad", {"nosuch"}).code == Code::kOk);
  expect(box.call("Start", box.about("bad")), Code::kUnknown,
         "exec: \"nosuch\": executable file not found in $PATH");
  CHECK(box.call("Delete", box.about("bad")).code == Code::kOk);

  CHECK(box.exec("long", {"sleep", "1000"}).code == Code::kOk);
  CHECK(box.call("Start", box.about("long")).code == Code::kOk);
  expect(box.call("Delete", box.about("long")), Code::kUnknown, "cannot delete a running process");
  expect(box.call("Delete", box.about()), Code::kUnknown, "cannot delete a running process");
  CHECK(box.call("Pause", box.about()).code == Code::kOk);
  CHECK(box.status() == 4);
  expect(box.exec("frozen", {"true"}), Code::kUnknown, "cannot exec in a paused state");
  CHECK(box.call("Resume", box.about()).code == Code::kOk);
  CHECK(box.call("Kill", box.about("", 9)).code == Code::kOk);
  CHECK(box.wait() == 137);
  CHECK(box.wait("long") == 137);
  CHECK(box.call("Delete", box.about()).code == Code::kOk);
  (void)box.events();
  // The exec's exit stands before init's.
  std::vector<std::string> exits;
  for (const auto& event : box.daemon->events) {
    if (event.topic != "/tasks/exit") continue;
    pb::Reader r(event.event.value);
    while (r.next()) {
      if (r.field() == 2) exits.push_back(r.string());
    }
  }
  CHECK((exits == Topics{"one", "long", box.id}));
}

void test_shared_pids() {
  Box box({"sh", "-c", "sleep 1000 & exit 0"}, {.own_pids = false});
  CHECK(box.create().code == Code::kOk);
  CHECK(box.call("Start", box.about()).code == Code::kOk);
  CHECK(box.wait() == 0);
  // What init left behind was killed; it takes the kernel a moment.
  bool gone = false;
  for (int i = 0; i < 100 && !gone; i++) {
    const Answer pids = box.call("Pids", box.about());
    gone = pids.code != Code::kOk || pids.text.empty();
    usleep(10'000);
  }
  CHECK(gone);
  CHECK(box.call("Delete", box.about()).code == Code::kOk);
}

void test_create_failures() {
  Box box({"nosuch"}, {.mount_rootfs = true});
  expect(box.create(), Code::kUnknown, "OCI runtime create failed: ");
  expect(box.call("State", box.about()), Code::kNotFound, "container not created");
  CHECK(read_file("/proc/self/mountinfo").find(box.bundle) == std::string::npos);
  CHECK(box.events().empty());
  CHECK(box.create("/no/such/fifo").text.find("/no/such/fifo") != std::string::npos);
}

void test_options() {
  Box box({"true"});
  const auto create = [&box](const char* type) {
    pb::Writer w;
    w.text(1, box.id);
    w.text(2, box.bundle);
    w.bytes(10, wire::encode(wire::Any{type, ""}));
    return box.call("Create", w.data());
  };
  expect(create("foo.bar"), Code::kUnknown, "type with url foo.bar: not found");
  CHECK(create("runtimeoptions.v1.Options").code == Code::kOk);
  CHECK(box.call("Delete", box.about()).code == Code::kOk);
  CHECK(create("containerd.runc.v1.Options").code == Code::kOk);
  CHECK(box.call("Delete", box.about()).code == Code::kOk);
}

Options with_hook(const char* kind, const char* seconds) {
  return {.mount_rootfs = true,
          .hooks = std::string(R"({")") + kind +
                   R"(":[{"path":"/usr/bin/sleep","args":["sleep",")" + seconds + R"("]}]})"};
}

// Whoever asks is answered while a hook runs.
void test_hook_of_create() {
  Box box({"sleep", "1000"}, with_hook("createRuntime", "1000"));
  pb::Writer w;
  w.text(1, box.id);
  w.text(2, box.bundle);
  const uint32_t creating = box.send("Create", w.data());
  usleep(100'000);
  CHECK(box.status() == 0);
  expect(box.call("Start", box.about()), Code::kFailedPrecondition, "is being created");
  expect(box.call("Kill", box.about("", 15)), Code::kFailedPrecondition, "is being created");
  // It can be given up.
  const uint32_t killing = box.send("Kill", box.about("", 9));
  const Answer created = box.receive();
  CHECK(created.stream == creating);
  expect(created, Code::kUnknown, "createRuntime hook \"/usr/bin/sleep\"");
  const Answer killed = box.receive();
  CHECK(killed.stream == killing && killed.code == Code::kOk);
  expect(box.call("State", box.about()), Code::kNotFound, "container not created");
}

void test_hooks_of_start_and_delete() {
  Box box({"sh", "-c", "exit 5"}, with_hook("poststart", "0.3"));
  CHECK(box.create().code == Code::kOk);
  const uint32_t waiting = box.send("Wait", box.about());
  const uint32_t starting = box.send("Start", box.about());
  CHECK(box.status() == 1);
  expect(box.exec("e", {"true"}), Code::kFailedPrecondition, "is being started");
  // The end, which comes first, is told after the start.
  CHECK(box.receive().stream == starting);
  const Answer waited = box.receive();
  CHECK(waited.stream == waiting && waited.text.starts_with("\x08\x05"));
  CHECK(box.call("Delete", box.about()).code == Code::kOk);
  CHECK((box.events() == Topics{"/tasks/create", "/tasks/start", "/tasks/exit", "/tasks/delete"}));
}

void test_hook_of_delete() {
  Box box({"sleep", "1000"}, with_hook("poststop", "0.3"));
  CHECK(box.create().code == Code::kOk);
  CHECK(box.call("Start", box.about()).code == Code::kOk);
  CHECK(box.call("Kill", box.about("", 9)).code == Code::kOk);
  CHECK(box.wait() == 137);
  const uint32_t deleting = box.send("Delete", box.about());
  CHECK(box.status() == 3);
  expect(box.call("Delete", box.about()), Code::kNotFound, "cannot delete a deleted process");
  CHECK(box.receive().stream == deleting);
  expect(box.call("State", box.about()), Code::kNotFound, "container not created");
  CHECK(read_file("/proc/self/mountinfo").find(box.bundle) == std::string::npos);
}

// Another OCI runtime does the executor's work; all that a client sees is the same.
void test_other_runtime(const char* binary) {
  if (access(binary, X_OK) != 0) return;
  Box box({"sh", "-c", "sleep 1000"}, {.mount_rootfs = true});
  pb::Writer options;
  options.text(6, binary);
  pb::Writer create;
  create.text(1, box.id);
  create.text(2, box.bundle);
  create.bytes(3, wire::encode(wire::Mount{"bind", root + "/rootfs", "", {"rbind", "rw"}}));
  create.bytes(10, wire::encode(wire::Any{"containerd.runc.v1.Options", options.take()}));
  const Answer created = box.call("Create", create.data());
  if (created.code != Code::kOk) std::fprintf(stderr, "%s: %s\n", binary, created.text.c_str());
  if (created.text.ends_with("hybrid mode not supported, drop all controllers from cgroupv2"))
    return;
  CHECK(created.code == Code::kOk && box.status() == 1);
  CHECK(box.call("Start", box.about()).code == Code::kOk && box.status() == 2);
  CHECK(box.exec("e", {"sh", "-c", "exit 3"}).code == Code::kOk);
  const Answer started = box.call("Start", box.about("e"));
  if (started.code != Code::kOk) std::fprintf(stderr, "%s: %s\n", binary, started.text.c_str());
  CHECK(started.code == Code::kOk);
  CHECK(box.wait("e") == 3);
  CHECK(box.exec("bad", {"nosuch"}).code == Code::kOk);
  expect(box.call("Start", box.about("bad")), Code::kUnknown, "OCI runtime exec failed: ");
  CHECK(!box.call("Pids", box.about()).text.empty());
  CHECK(box.call("Pause", box.about()).code == Code::kOk && box.status() == 4);
  CHECK(box.call("Resume", box.about()).code == Code::kOk);
  CHECK(box.call("Stats", box.about()).code == Code::kOk);
  CHECK(box.call("Kill", box.about("", 9)).code == Code::kOk);
  CHECK(box.wait() == 137);
  CHECK(box.call("Delete", box.about()).code == Code::kOk);
  CHECK(read_file("/proc/self/mountinfo").find(box.bundle) == std::string::npos);
  CHECK(access((box.bundle + "/oci").c_str(), F_OK) != 0);
  CHECK(system(("! ls -d /sys/fs/cgroup/*/" + cgroup_parent + "/" + box.id + " 2>/dev/null")
                   .c_str()) == 0);

  // And a shim that is killed leaves nothing that `delete` does not find.
  CHECK(box.call("Create", create.data()).code == Code::kOk);
  CHECK(box.call("Start", box.about()).code == Code::kOk);
  kill(box.shim_pid(), SIGKILL);
  CHECK(run_shim(box.bundle, box.id, "delete").find("\x10\x89\x01") != std::string::npos);
  CHECK(read_file("/proc/self/mountinfo").find(box.bundle) == std::string::npos);
  CHECK(access((box.bundle + "/oci").c_str(), F_OK) != 0);
  CHECK(system(("! ls -d /sys/fs/cgroup/*/" + cgroup_parent + "/" + box.id + " 2>/dev/null")
                   .c_str()) == 0);
}

void test_no_such_runtime() {
  Box box({"true"});
  pb::Writer options;
  options.text(6, "/no/such/runtime");
  pb::Writer create;
  create.text(1, box.id);
  create.text(2, box.bundle);
  create.bytes(10, wire::encode(wire::Any{"containerd.runc.v1.Options", options.take()}));
  expect(box.call("Create", create.data()), Code::kUnknown,
         "OCI runtime \"/no/such/runtime\": executable file not found");
}

// A daemon may put the containers of a sandbox into one shim.
void test_two_containers() {
  Box box({"sleep", "1000"});
  CHECK(box.create().code == Code::kOk);
  const std::string other = box.id + "-other";
  const std::string bundle = root + "/" + other;
  CHECK(system(("mkdir " + bundle + " && sed 's," + cgroup_parent + "/" + box.id + "," +
                cgroup_parent + "/" + other + ",;s,\"sleep\",\"false\",' " + box.bundle +
                "/config.json >" + bundle + "/config.json")
                   .c_str()) == 0);
  pb::Writer create;
  create.text(1, other);
  create.text(2, bundle);
  CHECK(box.call("Create", create.data()).code == Code::kOk);
  expect(box.call("Create", create.data()), Code::kAlreadyExists, "container " + other);
  pb::Writer about;
  about.text(1, other);
  CHECK(box.call("Start", about.data()).code == Code::kOk);
  CHECK(box.call("Wait", about.data()).text.starts_with("\x08\x01"));
  CHECK(box.status() == 1);
  CHECK(box.call("Start", box.about()).code == Code::kOk);
  CHECK(box.call("Delete", about.data()).code == Code::kOk);
  CHECK(box.call("Shutdown", about.data()).code == Code::kOk);  // the first one keeps the shim
  CHECK(box.status() == 2);
  CHECK(box.call("Kill", box.about("", 9)).code == Code::kOk);
  CHECK(box.wait() == 137);
  CHECK(box.call("Delete", box.about()).code == Code::kOk);
}

void test_delete_created() {
  Box box({"sleep", "1000"}, {.mount_rootfs = true});
  CHECK(box.create().code == Code::kOk);
  CHECK(read_file("/proc/self/mountinfo").find(box.bundle + "/rootfs") != std::string::npos);
  CHECK(box.call("Delete", box.about()).code == Code::kOk);
  CHECK(read_file("/proc/self/mountinfo").find(box.bundle) == std::string::npos);
}

void test_unknown_methods() {
  Box box({"true"});
  expect(box.call("Frobnicate", ""), Code::kUnimplemented, "method Frobnicate");
  expect(box.call("Checkpoint", box.about()), Code::kNotFound, "container not created");
  expect(box.call("Create", "\x0a\x7f"), Code::kInvalidArgument, "malformed");
  box.client->send(ttrpc::request_frame(box.stream += 2, "a.B", "C", "", 0));
  expect(box.receive(), Code::kUnimplemented, "service a.B");
  // Version 3 of the service is the same.
  box.client->send(
      ttrpc::request_frame(box.stream += 2, "containerd.task.v3.Task", "Connect", box.about(), 0));
  const Answer connected = box.receive();
  pb::Reader r(connected.text);
  CHECK(r.next() && r.field() == 1 && r.u32() == static_cast<uint32_t>(box.shim_pid()));
}

void test_killed_shim() {
  Box box({"sleep", "1000"}, {.mount_rootfs = true});
  CHECK(box.create().code == Code::kOk);
  const Answer started = box.call("Start", box.about());
  pb::Reader r(started.text);
  const pid_t pid = r.next() ? static_cast<pid_t>(r.u32()) : -1;
  CHECK(pid > 0 && kill(pid, 0) == 0);
  kill(box.shim_pid(), SIGKILL);
  const std::string response = run_shim(box.bundle, box.id, "delete");
  CHECK(response.starts_with("\x08") && response.find("\x10\x89\x01") != std::string::npos);
  const std::string state = read_file("/proc/" + std::to_string(pid) + "/stat");
  CHECK(state.empty() || state.find(") Z ") != std::string::npos);
  CHECK(read_file("/proc/self/mountinfo").find(box.bundle) == std::string::npos);
  CHECK(run_shim(box.bundle, box.id, "delete").size() >= 3);  // again
}

// What each kind of daemon writes, and the answer it understands.
void test_start_answers() {
  const std::string bundle = root + "/answers";
  mkdir(bundle.c_str(), 0700);
  const auto end = [&bundle](const char* id) { CHECK(!run_shim(bundle, id, "delete").empty()); };

  const std::string bare = run_shim(bundle, "old", "start");
  CHECK(bare.starts_with("unix://") && bare == read_file(bundle + "/address"));
  CHECK(run_shim(bundle, "old", "start") == bare);  // it lives: the same one
  end("old");
  CHECK(run_shim(bundle, "two", "start", "", "MAX_SHIM_VERSION=2").starts_with("unix://"));
  end("two");
  const std::string json = run_shim(bundle, "json", "start", "", "MAX_SHIM_VERSION=3");
  CHECK(json.starts_with(R"({"version":3,"address":"unix://)"));
  CHECK(json.ends_with(R"(","protocol":"ttrpc"})"));
  end("json");

  pb::Writer params;
  params.text(1, "boot");
  params.text(2, "ns");
  params.text(9, root + "/t");
  const std::string answer = run_shim(bundle, "boot", "start", params.data(), "DAVIT_SOCKET_DIR=");
  pb::Reader r(answer);
  CHECK(r.next() && r.field() == 1 && r.u32() == 3);
  CHECK(r.next() && r.field() == 2 && r.string() == read_file(bundle + "/address"));
  CHECK(read_file(bundle + "/address").starts_with("unix://" + root + "/t/"));
  CHECK(r.next() && r.field() == 3 && r.string() == "ttrpc");
  end("boot");
}

// RuntimeInfo: name, version, and the executor's features for those who choose a runtime by them.
void test_info() {
  const std::string info = run_shim(root, "info", "-info");
  pb::Reader r(info);
  wire::Any features;
  CHECK(r.next() && r.field() == 1 && r.string() == "io.containerd.davit.v1");
  CHECK(r.next() && r.field() == 2);
  CHECK(r.next() && r.field() == 4 && wire::decode(r.bytes(), features));
  CHECK(features.type_url == "types.containerd.io/opencontainers/runtime-spec/1/features/Features");
  CHECK(features.value.starts_with(R"({"ociVersionMin":"1.0.0",)") &&
        features.value.ends_with("}"));
}

void test_shim_cgroup() {
  const std::string bundle = root + "/grouped";
  mkdir(bundle.c_str(), 0700);
  const bool unified = access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0;
  const std::string cgroup =
      std::string("/sys/fs/cgroup/") + (unified ? "" : "pids/") + cgroup_parent;
  mkdir(cgroup.c_str(), 0755);
  pb::Writer options;
  options.text(3, "/" + cgroup_parent);
  const std::string input = wire::encode(wire::Any{"containerd.runc.v1.Options", options.take()});
  CHECK(run_shim(bundle, "grouped", "start", input).starts_with("unix://"));
  const std::string pid = read_file(bundle + "/shim.pid");
  for (int i = 0; i < 100 && read_file("/proc/" + pid + "/comm") != "containerd-shim\n"; i++) {
    usleep(10'000);
  }
  CHECK(read_file("/proc/" + pid + "/cgroup").find("/" + cgroup_parent + "\n") !=
        std::string::npos);
  CHECK(read_file("/proc/" + pid + "/oom_score_adj") != read_file("/proc/self/oom_score_adj"));
  CHECK(!run_shim(bundle, "grouped", "delete").empty());
}

void test_shutdown_now() {
  Box box({"sleep", "1000"}, {.mount_rootfs = true});
  CHECK(box.create().code == Code::kOk);
  CHECK(box.call("Start", box.about()).code == Code::kOk);
  pb::Writer now;
  now.text(1, box.id);
  now.boolean(2, true);
  CHECK(box.call("Shutdown", now.data()).code == Code::kOk);
  CHECK((box.events(300) == Topics{"/tasks/create", "/tasks/start", "/tasks/exit"}));
  CHECK(box.client->closed());
  CHECK(read_file("/proc/self/mountinfo").find(box.bundle) == std::string::npos);
}

void check_memory(const Box& box, const char* when) {
  std::istringstream lines(read_file("/proc/" + std::to_string(box.shim_pid()) + "/smaps_rollup"));
  long resident = -1;
  long anonymous = -1;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("Rss:")) resident = std::atol(line.c_str() + 4);
    if (line.starts_with("Anonymous:")) anonymous = std::atol(line.c_str() + 10);
  }
  std::printf("%s: %ld kB resident, %ld kB anonymous\n", when, resident, anonymous);
  CHECK(resident > 0 && resident <= 2048);
}

void test_memory() {
  Box box({"sleep", "1000"});
  CHECK(box.create().code == Code::kOk);
  CHECK(box.call("Start", box.about()).code == Code::kOk);
  (void)box.events();
  check_memory(box, "idle shim");
  for (int i = 0; i < 100; i++) {
    const std::string exec_id = "e" + std::to_string(i);
    CHECK(box.exec(exec_id, {"true"}).code == Code::kOk);
    CHECK(box.call("Start", box.about(exec_id)).code == Code::kOk);
    CHECK(box.wait(exec_id) == 0);
    CHECK(box.call("Delete", box.about(exec_id)).code == Code::kOk);
    if (i % 10 == 0) (void)box.events(20);
  }
  (void)box.events();
  check_memory(box, "after 100 execs");
}

void test_out_of_memory() {
  Box box({"sh", "-c", "x=a; while :; do x=$x$x$x$x; done"},
          {.resources = R"({"memory":{"limit":16777216}})"});
  CHECK(box.create().code == Code::kOk);
  CHECK(box.call("Start", box.about()).code == Code::kOk);
  CHECK(box.wait() == 137);
  const auto topics = box.events();
  CHECK((topics == Topics{"/tasks/create", "/tasks/start", "/tasks/oom", "/tasks/exit"}));
  CHECK(box.call("Delete", box.about()).code == Code::kOk);
}

void all() {
  test_unknown_methods();
  test_life();
  test_execs();
  test_shared_pids();
  test_create_failures();
  test_options();
  test_hook_of_create();
  test_hooks_of_start_and_delete();
  test_hook_of_delete();
  test_two_containers();
  test_other_runtime("/usr/sbin/runc");
  test_other_runtime("/usr/bin/crun");
  const std::string own = shim_program.substr(0, shim_program.rfind('/')) + "/oci/davit-oci";
  test_other_runtime(own.c_str());
  test_no_such_runtime();
  test_delete_created();
  test_killed_shim();
  test_start_answers();
  test_info();
  test_shim_cgroup();
  test_shutdown_now();
  test_memory();
  test_out_of_memory();
}

}  // namespace

int main(int argc, char** argv) {
  return run_tests(argc, argv, all);
}
