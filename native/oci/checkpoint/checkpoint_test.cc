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
  auto exec = (*restored)->exec(second.process("cat /data/file; hostname; ls /dev/null"),
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

void refused() {
  Bundle bundle;
  bundle.script(kCounter);
  oci::CheckpointOptions none;
  none.image_path = bundle.path() + "/absent";
  auto restored = Container::restore(bundle.options(), none);
  CHECK_CONTAINS(restored ? "" : restored.error().text(), "checkpoint: open");
  bundle.set("/process/terminal", "true");
  restored = Container::restore(bundle.options(), none);
  CHECK_CONTAINS(restored ? "" : restored.error().text(), "terminal cannot be restored");
}

}  // namespace

int main() {
  if (!testing::can_run_containers()) return testing::kSkipped;
  refused();
  // Debian bookworm's 3.17 cannot do it on newer kernels.
  if (testing::shell("criu check 2>/dev/null | grep good").empty()) {
    std::fprintf(stderr, "no criu in $PATH that works on this kernel: nothing was checkpointed\n");
    return testing::result() == 0 ? testing::kSkipped : 1;
  }
  counter_goes_on();
  testing::check_leftovers();
  return testing::result();
}
