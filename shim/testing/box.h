// One shim in a bundle of its own as a daemon meets it: the program is started, spoken to over
// ttrpc, its events received. Needs root and busybox; containers are real.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "shim/testing/check.h"
#include "shim/testing/client.h"
#include "shim/testing/daemon.h"

namespace davit::testing {

using ttrpc::Code;

inline std::string shim_program;
inline std::string root;  // what the tests make lies here
inline int sequence = 0;
// All cgroups of this run lie below it: others may run at the same time.
inline std::string cgroup_parent = "shim-test-" + std::to_string(getpid());

inline std::string read_file(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

inline void write_file(const std::string& path, const std::string& text) {
  std::ofstream(path) << text;
}

// Runs the shim's program in `bundle`; its standard output. `environment` is one or more A=B.
inline std::string run_shim(const std::string& bundle, const std::string& id, const char* action,
                            const std::string& input = "", const std::string& environment = "") {
  write_file(root + "/stdin", input);
  const std::string command = "cd " + bundle + " && TTRPC_ADDRESS=" + root + "/events " +
                              "DAVIT_SOCKET_DIR=" + root + "/s " + environment + " " +
                              shim_program + " -namespace ns -id " + id + " -address " + root +
                              "/daemon -bundle " + bundle + " " + action + " <" + root + "/stdin";
  FILE* pipe = popen(command.c_str(), "r");
  std::string out;
  char buffer[4096];
  size_t count = 0;
  while ((count = fread(buffer, 1, sizeof buffer, pipe)) > 0) out.append(buffer, count);
  CHECK(pclose(pipe) == 0);
  return out;
}

inline std::string to_json(const std::vector<std::string>& words) {
  std::string json = "[";
  for (const auto& word : words) json += (json.size() > 1 ? ",\"" : "\"") + word + "\"";
  return json + "]";
}

inline std::string process_json(const std::vector<std::string>& args) {
  return R"({"args":)" + to_json(args) +
         R"(,"cwd":"/","env":["PATH=/bin"],"user":{"uid":0,"gid":0}})";
}

struct Options {
  bool own_pids = true;
  bool mount_rootfs = false;
  std::string resources = "{}";
  std::string environment = "";  // of the shim, A=B
  std::string hooks = "{}";
};

// A bundle, its shim and a connection to it.
struct Box {
  std::string id = "box" + std::to_string(++sequence);
  std::string bundle = root + "/" + id;
  shim::Loop loop;
  std::optional<Daemon> daemon;
  std::string address;
  std::optional<Client> client;
  uint32_t stream = 0;
  bool mount_rootfs;

  explicit Box(const std::vector<std::string>& args, const Options& options = {})
      : mount_rootfs(options.mount_rootfs) {
    CHECK(loop.open().has_value());
    daemon.emplace(loop, root + "/events");
    mkdir(bundle.c_str(), 0700);
    mkdir((bundle + "/rootfs").c_str(), 0755);
    const std::string rootfs = mount_rootfs ? "rootfs" : root + "/rootfs";
    write_file(bundle + "/config.json",
               R"({"ociVersion":"1.0.2","process":)" + process_json(args) + R"(,"root":{"path":")" +
                   rootfs + R"("},"hostname":"box","hooks":)" + options.hooks + "," +
                   R"("mounts":[{"destination":"/proc","type":"proc","source":"proc"}],)" +
                   R"("linux":{"cgroupsPath":"/)" + cgroup_parent + "/" + id + R"(","resources":)" +
                   options.resources + R"(,"namespaces":[{"type":"mount"},{"type":"uts"},)" +
                   R"({"type":"ipc"})" + (options.own_pids ? R"(,{"type":"pid"})" : "") + "]}}");
    address = run_shim(bundle, id, "start", "", options.environment);
    CHECK(address.starts_with("unix://" + root + "/s/"));
    client.emplace(address.substr(7));
  }

  ~Box() {
    client.reset();
    run_shim(bundle, id, "delete");
    CHECK(access(address.substr(7).c_str(), F_OK) != 0);
  }

  pid_t shim_pid() const { return std::atoi(read_file(bundle + "/shim.pid").c_str()); }

  uint32_t send(const char* method, const std::string& payload) {
    stream += stream == 0 ? 1 : 2;
    client->send(ttrpc::request_frame(stream, "containerd.task.v2.Task", method, payload, 0));
    return stream;
  }
  Answer receive(int milliseconds = 15'000) {
    const auto answer = client->receive(milliseconds);
    CHECK(answer.has_value());
    return answer.value_or(Answer{});
  }
  Answer call(const char* method, const std::string& payload) {
    send(method, payload);
    return receive();
  }

  std::string about(const std::string& exec_id = "", uint32_t number = 0) const {
    pb::Writer w;
    w.text(1, id);
    w.text(2, exec_id);
    w.varint(3, number);
    return w.take();
  }
  Answer create(const std::string& out = "") {
    pb::Writer w;
    w.text(1, id);
    w.text(2, bundle);
    if (mount_rootfs) {
      w.bytes(3, wire::encode(wire::Mount{"bind", root + "/rootfs", "", {"rbind", "rw"}}));
    }
    w.text(6, out);
    return call("Create", w.data());
  }
  Answer exec(const std::string& exec_id, const std::vector<std::string>& args) {
    pb::Writer w;
    w.text(1, id);
    w.text(2, exec_id);
    w.bytes(7, wire::encode(wire::Any{"process", process_json(args)}));
    return call("Exec", w.data());
  }
  // Wait's exit status.
  uint32_t wait(const std::string& exec_id = "") {
    const Answer answer = call("Wait", about(exec_id));
    CHECK(answer.code == Code::kOk);
    pb::Reader r(answer.text);
    return r.next() && r.field() == 1 ? r.u32() : 0;
  }
  uint32_t status(const std::string& exec_id = "") {
    const Answer answer = call("State", about(exec_id));
    pb::Reader r(answer.text);
    while (r.next()) {
      if (r.field() == 4) return r.u32();
    }
    return 0;
  }
  std::vector<std::string> events(int64_t milliseconds = 100) {
    loop.after(milliseconds, [this] { loop.quit(); });
    CHECK(loop.run().has_value());
    return daemon->topics();
  }
};

inline void expect(const Answer& answer, Code code, const std::string& text) {
  CHECK(answer.code == code);
  if (answer.code != code || answer.text.find(text) == std::string::npos) {
    std::fprintf(stderr, "  expected %u %s\n  got      %u %s\n", static_cast<unsigned>(code),
                 text.c_str(), static_cast<unsigned>(answer.code), answer.text.c_str());
  }
  CHECK(answer.text.find(text) != std::string::npos);
}

// Runs the tests; the exit code of a test program whose argument is the shim.
inline int run_tests(int argc, char** argv, void (*tests)()) {
  constexpr int kSkipped = 77;
  if (geteuid() != 0 || access("/usr/bin/busybox", X_OK) != 0 || argc < 2) {
    std::fprintf(stderr, "skipped: needs root, /usr/bin/busybox and the shim's path\n");
    return kSkipped;
  }
  char* program = realpath(argv[1], nullptr);
  CHECK(program != nullptr);
  shim_program = program;
  free(program);
  signal(SIGPIPE, SIG_IGN);
  char pattern[] = "/tmp/shim-test-XXXXXX";
  root = mkdtemp(pattern);
  CHECK(
      system(("mkdir -p " + root + "/rootfs/bin " + root + "/rootfs/proc && cp /usr/bin/busybox " +
              root + "/rootfs/bin/ && for i in sh sleep true false; do ln -s busybox " + root +
              "/rootfs/bin/$i; done")
                 .c_str()) == 0);
  tests();
  CHECK(system(("rmdir /sys/fs/cgroup/*/" + cgroup_parent + " /sys/fs/cgroup/" + cgroup_parent +
                " 2>/dev/null; true")
                   .c_str()) == 0);
  CHECK(system(("rm -r " + root).c_str()) == 0);
  return result();
}

}  // namespace davit::testing
