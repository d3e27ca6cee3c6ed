#include "native/oci/testing/bundle.h"

#include <fcntl.h>
#include <rapidjson/pointer.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "native/kernel/file.h"
#include "native/kernel/process.h"
#include "native/oci/json_text.h"
#include "native/oci/testing/check.h"

namespace davit::testing {
namespace {

constexpr const char* kConfig = R"({
  "ociVersion": "1.1.0",
  "process": {
    "user": {"uid": 0, "gid": 0}, "args": ["true"], "cwd": "/",
    "env": ["PATH=/bin:/usr/bin", "TERM=xterm"],
    "capabilities": {
      "bounding": ["CAP_KILL", "CAP_CHOWN", "CAP_SETUID", "CAP_SETGID", "CAP_MKNOD"],
      "effective": ["CAP_KILL", "CAP_CHOWN", "CAP_SETUID", "CAP_SETGID", "CAP_MKNOD"],
      "permitted": ["CAP_KILL", "CAP_CHOWN", "CAP_SETUID", "CAP_SETGID", "CAP_MKNOD"]
    },
    "noNewPrivileges": true
  },
  "root": {"path": "rootfs"},
  "hostname": "testhost",
  "mounts": [
    {"destination": "/proc", "type": "proc", "source": "proc",
     "options": ["nosuid", "noexec", "nodev"]},
    {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
     "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
    {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
     "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
    {"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
     "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]},
    {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue",
     "options": ["nosuid", "noexec", "nodev"]},
    {"destination": "/sys", "type": "sysfs", "source": "sysfs",
     "options": ["nosuid", "noexec", "nodev", "ro"]}
  ],
  "linux": {
    "namespaces": [{"type": "pid"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"},
                   {"type": "mount"}],
    "maskedPaths": ["/proc/kcore", "/proc/keys", "/proc/acpi", "/sys/firmware", "/absent"],
    "readonlyPaths": ["/proc/sys", "/proc/bus"]
  }
})";

constexpr const char* kApplets[] = {
    "awk",      "cat",  "chmod", "chown",    "dd", "echo", "env",   "false",  "grep",  "head",
    "hostname", "id",   "ip",    "kill",     "ln", "ls",   "mkdir", "mknod",  "mount", "mv",
    "printf",   "ps",   "pwd",   "readlink", "rm", "sed",  "sh",    "sleep",  "sort",  "stat",
    "stty",     "tail", "test",  "touch",    "tr", "true", "tty",   "umount", "wc",    "yes"};

std::string parent_cgroup() {
  return "/davit-test-" + std::to_string(::getpid());
}

int run_shell(const std::string& command) {
  return ::system(command.c_str());
}

std::string drain(int fd) {
  auto text = kernel::read_all(fd, 16 << 20);
  return text.value_or("(unreadable)");
}

int exit_code(int status) {
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

struct Pipe {
  Fd read, write;
  Pipe() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) ::abort();
    read.reset(ends[0]);
    write.reset(ends[1]);
  }
};

}  // namespace

Bundle::Bundle() {
  static int count = 0;
  char path[] = "/tmp/davit-oci-test.XXXXXX";
  if (::mkdtemp(path) == nullptr) ::abort();
  path_ = path;
  id_ = "test-" + std::to_string(::getpid()) + "-" + std::to_string(count++);
  ::chmod(path, 0755);
  std::string script = "cd '" + path_ + "' && mkdir -p rootfs/bin rootfs/etc rootfs/tmp && " +
                       "cp /bin/busybox rootfs/bin/ && cd rootfs/bin";
  for (const char* applet : kApplets) script += std::string(" && ln busybox ") + applet;
  script +=
      " && printf 'root:x:0:0:root:/root:/bin/sh\\nuser:x:1000:1000::/home/user:/bin/sh\\n'"
      " > ../etc/passwd";
  if (run_shell(script) != 0) ::abort();
  config_.Parse(kConfig);
  set("/linux/cgroupsPath", '"' + parent_cgroup() + "/" + id_ + '"');
}

Bundle::~Bundle() {
  CHECK_EQUAL(shell("grep -F ' " + path_ + "' /proc/self/mountinfo"), "");
  CHECK_EQUAL(shell("find /sys/fs/cgroup -type d -name '" + id_ + "'"), "");
  (void)run_shell("rm -rf --one-file-system '" + path_ + "'");
}

Bundle& Bundle::set(const char* pointer, const std::string& json) {
  rapidjson::Document value(&config_.GetAllocator());
  value.Parse(json.data(), json.size());
  if (value.HasParseError()) {
    std::fprintf(stderr, "bad JSON in a test: %s\n", json.c_str());
    ::abort();
  }
  rapidjson::Pointer(pointer).Set(config_, value);
  return *this;
}

Bundle& Bundle::remove(const char* pointer) {
  rapidjson::Pointer(pointer).Erase(config_);
  return *this;
}

Bundle& Bundle::script(const std::string& script) {
  return set("/process/args", "[\"sh\", \"-c\", " + oci::json::quote(script) + "]");
}

std::string Bundle::process(const std::string& script) const {
  rapidjson::Document copy;
  copy.CopyFrom(config_["process"], copy.GetAllocator());
  rapidjson::Document args(&copy.GetAllocator());
  std::string text = "[\"sh\", \"-c\", " + oci::json::quote(script) + "]";
  args.Parse(text.data(), text.size());
  copy["args"].Swap(args);
  rapidjson::StringBuffer buffer;
  rapidjson::Writer<rapidjson::StringBuffer> writer(buffer);
  copy.Accept(writer);
  return buffer.GetString();
}

void Bundle::prepare(const std::string& script) const {
  CHECK(run_shell("R='" + rootfs() + "'; B='" + path_ + "'; set -e; " + script) == 0);
}

oci::CreateOptions Bundle::options(oci::Stdio stdio) const {
  rapidjson::StringBuffer buffer;
  rapidjson::Writer<rapidjson::StringBuffer> writer(buffer);
  config_.Accept(writer);
  Fd dir(::open(path_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  CHECK(kernel::replace_file(dir.get(), "config.json", {buffer.GetString(), buffer.GetSize()}, 0600)
            .has_value());
  oci::CreateOptions options;
  options.id = id_;
  options.bundle = path_;
  options.stdio = stdio;
  options.deadline_ms = 20'000;
  return options;
}

Outcome run(const Bundle& bundle) {
  return run(bundle, bundle.options());
}

Outcome run(const Bundle&, oci::CreateOptions options) {
  Outcome outcome;
  Pipe pipe;
  options.stdio = {-1, pipe.write.get(), pipe.write.get()};
  auto container = oci::Container::create(options);
  pipe.write.reset();
  if (!container) {
    outcome.error = container.error().text();
    return outcome;
  }
  outcome.warnings = (*container)->warnings();
  auto started = (*container)->start();
  if (!started) outcome.error = started.error().text();
  outcome.output = drain(pipe.read.get());
  auto status = kernel::reap((*container)->pid());
  if (started && status) outcome.code = exit_code(*status);
  auto destroyed = (*container)->destroy();
  CHECK_EQUAL(destroyed ? "" : destroyed.error().text(), "");
  return outcome;
}

Running::Running(const Bundle& bundle) {
  auto container = oci::Container::create(bundle.options());
  if (!container) {
    error_ = container.error().text();
    return;
  }
  container_ = std::move(*container);
  if (auto started = container_->start(); !started) error_ = started.error().text();
}

Running::~Running() {
  if (!container_) return;
  (void)container_->kill(SIGKILL);
  if (!reaped_) (void)wait();
  auto destroyed = container_->destroy();
  CHECK_EQUAL(destroyed ? "" : destroyed.error().text(), "");
}

int Running::wait() {
  reaped_ = true;
  return kernel::reap(container_->pid()).value_or(-1);
}

Outcome Running::exec(const std::string& process) {
  Outcome outcome;
  Pipe pipe;
  auto started = container_->exec(process, {-1, pipe.write.get(), pipe.write.get()});
  pipe.write.reset();
  if (!started) {
    outcome.error = started.error().text();
    return outcome;
  }
  outcome.warnings = std::move(started->warnings);
  outcome.output = drain(started->console ? started->console.get() : pipe.read.get());
  if (auto status = kernel::reap(started->pid)) outcome.code = exit_code(*status);
  return outcome;
}

std::string shell(const std::string& command) {
  FILE* pipe = ::popen(command.c_str(), "re");
  if (pipe == nullptr) return "(popen failed)";
  std::string text;
  char buffer[4096];
  while (std::size_t n = ::fread(buffer, 1, sizeof buffer, pipe)) text.append(buffer, n);
  ::pclose(pipe);
  return text;
}

bool can_run_containers() {
  return ::geteuid() == 0 && ::access("/bin/busybox", X_OK) == 0;
}

void check_leftovers() {
  (void)run_shell("rmdir /sys/fs/cgroup/*" + parent_cgroup() + " /sys/fs/cgroup" + parent_cgroup() +
                  " 2>/dev/null");
  CHECK_EQUAL(shell("find /sys/fs/cgroup -type d -path '*" + parent_cgroup() + "*'"), "");
  CHECK(::waitpid(-1, nullptr, WNOHANG) == -1 && errno == ECHILD);
}

}  // namespace davit::testing
