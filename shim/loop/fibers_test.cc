// Work that waits, the loop going on meanwhile.
#include "shim/loop/fibers.h"

#include <unistd.h>

#include <string>

#include "native/kernel/wait.h"
#include "shim/testing/check.h"

using namespace davit;
using namespace davit::shim;

namespace {

struct Pipe {
  Fd reader, writer;
  Pipe() {
    int ends[2];
    CHECK(pipe(ends) == 0);
    reader.reset(ends[0]);
    writer.reset(ends[1]);
  }
};

struct Rig {
  Loop loop;
  int ends = 0;
  Fibers fibers{loop, [this] { ends++; }};
  std::string log;

  Rig() { CHECK(loop.open().has_value()); }
  void run(int64_t milliseconds) {
    loop.after(milliseconds, [this] { loop.quit(); });
    CHECK(loop.run().has_value());
  }
  // Writes `name`, waits, writes what came of it.
  Fibers::Task waits(const char* name, int fd, int timeout) {
    return [this, name, fd, timeout] {
      log += name;
      pollfd item{fd, POLLIN, 0};
      const int got = kernel::wait_for(&item, 1, timeout);
      log += got > 0 ? '+' : (got == 0 ? '0' : (errno == ECANCELED ? '!' : '?'));
    };
  }
  Fibers::Task says(char what) {
    return [this, what] { log += what; };
  }
};

void test_waits_side_by_side() {
  Rig rig;
  Pipe a, b, c;
  rig.fibers.start(&rig, rig.waits("a", a.reader.get(), -1), rig.says('A'));
  rig.fibers.start(&rig, rig.waits("b", b.reader.get(), 5000), rig.says('B'));
  rig.fibers.start(&rig, rig.waits("t", c.reader.get(), 20), rig.says('T'));
  CHECK(rig.log == "abt" && rig.fibers.busy(&rig));
  rig.run(60);
  CHECK(rig.log == "abt0T");
  CHECK(write(b.writer.get(), "x", 1) == 1);
  rig.run(20);
  CHECK(rig.log == "abt0T+B");
  CHECK(write(a.writer.get(), "x", 1) == 1);
  rig.run(20);
  CHECK(rig.log == "abt0T+B+A" && rig.ends == 3 && !rig.fibers.busy());
}

void test_no_wait_ends_at_once() {
  Rig rig;
  Pipe pipe;
  CHECK(write(pipe.writer.get(), "x", 1) == 1);
  rig.fibers.start(&rig, rig.waits("a", pipe.reader.get(), -1), rig.says('A'));
  CHECK(rig.log == "a+A");
}

void test_cancel() {
  Rig rig;
  Pipe a, b, c;
  int other = 0;
  rig.fibers.start(&rig, rig.waits("a", a.reader.get(), -1), rig.says('A'));
  rig.fibers.start(&other, rig.waits("b", b.reader.get(), -1), rig.says('B'));
  rig.fibers.start(
      &rig,
      [&rig, &c] {
        rig.waits("c", c.reader.get(), -1)();
        rig.waits("d", c.reader.get(), -1)();  // and every further wait
      },
      rig.says('C'));
  rig.fibers.cancel(&rig);
  CHECK(rig.log == "abc!A!d!C" && rig.fibers.busy(&other) && !rig.fibers.busy(&rig));
  rig.fibers.cancel(&other);
  CHECK(!rig.fibers.busy());
}

void test_deep_stack() {
  Rig rig;
  rig.fibers.start(
      &rig,
      [&rig] {
        volatile char big[200'000];
        for (size_t i = 0; i < sizeof big; i += 4096) big[i] = 1;
        kernel::sleep_for(5);
        rig.log += big[4096] == 1 ? 'y' : 'n';
      },
      [] {});
  rig.run(30);
  CHECK(rig.log == "y");
}

}  // namespace

int main() {
  test_waits_side_by_side();
  test_no_wait_ends_at_once();
  test_cancel();
  test_deep_stack();
  return testing::result();
}
