// A counter that is checkpointed goes on counting in another container.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "native/kernel/process.h"
#include "native/oci/testing/bundle.h"
#include "native/oci/testing/check.h"

namespace {

using namespace davit;
using oci::Container;
using testing::Bundle;

constexpr const char* kCgroups =
    R"({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro"]})";
constexpr const char* kCounter = "i=0; while :; do i=$((i+1)); echo $i; sleep 0.05; done";

// A pipe's last number, after waiting for `count` lines.
int count_to(int fd, int count) {
  std::string text;
  char buffer[256];
  for (int lines = 0; lines < count;) {
    pollfd item = {fd, POLLIN, 0};
    if (::poll(&item, 1, 10'000) <= 0) break;
    ssize_t n = ::read(fd, buffer, sizeof buffer);
    if (n <= 0) break;
    for (ssize_t i = 0; i < n; i++) lines += buffer[i] == '\n';
    text.append(buffer, static_cast<std::size_t>(n));
  }
  text.erase(text.find_last_of('\n') == std::string::npos ? 0 : text.find_last_of('\n'));
  std::size_t start = text.find_last_of('\n');
  return ::atoi(text.c_str() + (start == std::string::npos ? 0 : start + 1));
}

struct Pipe {
  Fd read, write;
  Pipe() {
    int ends[2];
    CHECK(::pipe2(ends, O_CLOEXEC) == 0);
    read.reset(ends[0]);
    write.reset(ends[1]);
  }
};

void end(Container& container) {
  (void)container.kill(SIGKILL);
  (void)kernel::reap(container.pid());
  auto destroyed = container.destroy();
  CHECK_EQUAL(destroyed ? "" : destroyed.error().text(), "");
}

void counter_goes_on() {
  Bundle first, second;
  for (Bundle* bundle : {&first, &second}) {
    bundle->prepare("mkdir $B/data; echo " + std::string(bundle == &first ? "one" : "two") +
                    " > $B/data/file");
    bundle->set("/mounts/-", R"({"destination": "/data", "type": "bind", "source": "data",
                                 "options": ["rbind", "ro"]})");
    bundle->set("/mounts/-", kCgroups).set("/linux/namespaces/-", R"({"type": "cgroup"})");
    bundle->script(kCounter);
  }
  oci::CheckpointOptions checkpoint;
  checkpoint.image_path = first.path() + "/images";
  int before = 0;
  {
    Pipe out;
    auto container = Container::create(first.options({-1, out.write.get(), -1}));
    out.write.reset();
    CHECK_EQUAL(container ? "" : container.error().text(), "");
    if (!container) return;
    CHECK((*container)->start().has_value());
    before = count_to(out.read.get(), 5);
    CHECK(before >= 5);
    // One that goes on, one that is the end.
    checkpoint.leave_running = true;
    auto dumped = (*container)->checkpoint(checkpoint);
    CHECK_EQUAL(dumped ? "" : dumped.error().text(), "");
    CHECK((before = count_to(out.read.get(), 3)) >= 8);
    CHECK((*container)->pause().has_value());
    checkpoint.leave_running = false;
    dumped = (*container)->checkpoint(checkpoint);
    CHECK_EQUAL(dumped ? "" : dumped.error().text(), "");
    pollfd ended = {(*container)->pidfd(), POLLIN, 0};
    (void)(*container)->resume();
    CHECK(::poll(&ended, 1, 5000) == 1);
    end(**container);
    if (!dumped) return;
  }
  Pipe out;
  auto restored = Container::restore(second.options({-1, out.write.get(), -1}), checkpoint);
  out.write.reset();
  CHECK_EQUAL(restored ? "" : restored.error().text(), "");
  if (!restored) return;
  // It waits for start.
  pollfd quiet = {out.read.get(), POLLIN, 0};
  CHECK(::poll(&quiet, 1, 300) == 0);
  CHECK((*restored)->start().has_value());
  int after = count_to(out.read.get(), 5);
  CHECK(after > before && after < before + 60);
  auto pids = (*restored)->pids();
  CHECK(pids && !pids->empty() && pids->front() == (*restored)->pid());
  Pipe said;
  auto exec = (*restored)->exec(
      second.process("cat /data/file; hostname; ls /dev/null; cd /sys/fs/cgroup; "
                     "for d in . *; do mkdir $d/x; done 2>&1 | grep -v 'Read-only'"),
      {-1, said.write.get(), said.write.get()});
  said.write.reset();
  CHECK_EQUAL(exec ? "" : exec.error().text(), "");
  if (exec) {
    char text[256] = {};
    (void)kernel::reap(exec->pid);
    CHECK(::read(said.read.get(), text, sizeof text - 1) > 0);
    CHECK_EQUAL(text, "two\ntesthost\n/dev/null\n");
  }
  end(**restored);
}

// Typed into, written by and resized through the new master; the program's own terminal still.
void terminal_goes_on() {
  Bundle first, second;
  for (Bundle* bundle : {&first, &second}) {
    bundle->set("/process/terminal", "true");
    bundle->set("/mounts/-", kCgroups).script("trap 'exit 5' INT; " + std::string(kCounter));
  }
  oci::CheckpointOptions checkpoint;
  checkpoint.image_path = first.path() + "/images";
  int before = 0;
  {
    auto container = Container::create(first.options());
    CHECK_EQUAL(container ? "" : container.error().text(), "");
    if (!container) return;
    Fd console = (*container)->take_console();
    CHECK((*container)->start().has_value());
    CHECK((before = count_to(console.get(), 5)) >= 5);
    auto dumped = (*container)->checkpoint(checkpoint);
    CHECK_EQUAL(dumped ? "" : dumped.error().text(), "");
    end(**container);
    if (!dumped) return;
  }
  auto restored = Container::restore(second.options(), checkpoint);
  CHECK_EQUAL(restored ? "" : restored.error().text(), "");
  if (!restored) return;
  Fd console = (*restored)->take_console();
  CHECK(console);
  CHECK((*restored)->start().has_value());
  int after = count_to(console.get(), 5);
  CHECK(after > before && after < before + 60);
  CHECK(::write(console.get(), "\x03", 1) == 1);
  auto status = kernel::reap((*restored)->pid());
  CHECK(status && WIFEXITED(*status) && WEXITSTATUS(*status) == 5);
  CHECK((*restored)->destroy().has_value());
}

std::string restore_error(Bundle& bundle, const oci::CheckpointOptions& checkpoint) {
  auto restored = Container::restore(bundle.options(), checkpoint);
  if (!restored) return restored.error().text();
  end(**restored);
  return "restored";
}

// What it is to have of mounts and capabilities, and a program that goes on.
void prepare_saved(Bundle& bundle, bool with_mount = true) {
  bundle.prepare("mkdir $B/data; echo one > $B/data/file");
  if (with_mount)
    bundle.set("/mounts/-", R"({"destination": "/data", "type": "bind", "source": "data",
                               "options": ["rbind"]})");
  bundle.set("/process/capabilities", R"({"bounding": ["CAP_KILL", "CAP_CHOWN"],
      "effective": ["CAP_KILL", "CAP_CHOWN"], "permitted": ["CAP_KILL", "CAP_CHOWN"]})");
  bundle.set("/process/noNewPrivileges", "false");
  bundle.script("while :; do sleep 1; done");
}

// A checkpoint is anybody's: it may not bring more than the config has.
void hostile_images() {
  Bundle saved;
  prepare_saved(saved);
  oci::CheckpointOptions checkpoint;
  checkpoint.image_path = saved.path() + "/images";
  auto container = Container::create(saved.options());
  CHECK(container.has_value());
  if (!container) return;
  CHECK((*container)->start().has_value());
  auto dumped = (*container)->checkpoint(checkpoint);
  CHECK_EQUAL(dumped ? "" : dumped.error().text(), "");
  end(**container);
  if (!dumped) return;
  struct Change {
    const char *path, *value, *refusal;
  };
  for (const Change& change : std::initializer_list<Change>{
           {"/process/capabilities/bounding", R"(["CAP_KILL"])", "with more capabilities"},
           {"/process/noNewPrivileges", "true", "may gain privileges"},
           {"/linux/seccomp", R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
             {"names": ["keyctl"], "action": "SCMP_ACT_ERRNO"}]})",
            "without a seccomp filter"},
           {"/linux/maskedPaths/-", "\"/proc/uptime\"", "is not masked"},
           {"/linux/readonlyPaths/-", "\"/data\"", "is not read-only"},
           {"/mounts/-", R"({"destination": "/more", "type": "tmpfs", "source": "tmpfs"})",
            "its mount is missing"},
           {"/root/readonly", "true", "a writable root"}}) {
    Bundle bundle;
    prepare_saved(bundle);
    bundle.set(change.path, change.value);
    CHECK_CONTAINS(restore_error(bundle, checkpoint), change.refusal);
  }
  // The saved mount, which this config does not have.
  Bundle bundle;
  prepare_saved(bundle, false);
  CHECK_CONTAINS(restore_error(bundle, checkpoint), "No mapping");
}

void refused() {
  Bundle bundle;
  bundle.script(kCounter);
  bundle.prepare(
      "mkdir $B/empty $B/links; ln -s /etc/shadow $B/links/pages-1.img; "
      "mkdir $B/parent; ln -s .. $B/parent/parent");
  oci::CheckpointOptions checkpoint;
  checkpoint.image_path = bundle.path() + "/absent";
  CHECK_CONTAINS(restore_error(bundle, checkpoint), "absent\": no such file");
  checkpoint.image_path = bundle.path() + "/links";
  CHECK_CONTAINS(restore_error(bundle, checkpoint), "\"pages-1.img\" is not a regular file");
  checkpoint.image_path = bundle.path() + "/parent";
  CHECK_CONTAINS(restore_error(bundle, checkpoint), "\"parent\" is not a regular file");
  checkpoint.image_path = bundle.path() + "/empty";
  CHECK_CONTAINS(restore_error(bundle, checkpoint), "descriptors.json");
}

}  // namespace

int main() {
  if (!testing::can_run_containers()) return testing::kSkipped;
  refused();
  // Debian bookworm's 3.17 cannot do it on newer kernels.
  if (testing::shell("criu check 2>/dev/null | grep good").empty()) {
    std::fprintf(stderr, "no criu in $PATH that works on this kernel: nothing was checkpointed\n");
    testing::check_leftovers();
    return testing::result() == 0 ? testing::kSkipped : 1;
  }
  counter_goes_on();
  terminal_goes_on();
  hostile_images();
  testing::check_leftovers();
  return testing::result();
}
