// Parsing, compaction and, as root, real mounts with more layers than one page of options names.
#include "native/kernel/mount_spec.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cstdio>

#include "native/kernel/fd.h"

namespace {

int failures = 0;

#define CHECK(condition)                                                   \
  do {                                                                     \
    if (!(condition)) {                                                    \
      std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
      failures++;                                                          \
    }                                                                      \
  } while (0)

using davit::mount_spec::Parsed;
using davit::mount_spec::Spec;

void test_parse() {
  Parsed bind = davit::mount_spec::parse({"bind", "/a", {"rbind", "ro", "rw", "ro", "rslave"}});
  CHECK(bind.flags == (MS_BIND | MS_REC | MS_RDONLY));
  CHECK(bind.propagation.size() == 1 && bind.propagation[0] == (MS_SLAVE | MS_REC));
  CHECK(bind.data.empty());

  Parsed overlay = davit::mount_spec::parse(
      {"overlay", "overlay", {"index=off", "userxattr", "nosuid", "lowerdir=/a:/b", "loop"}});
  CHECK(overlay.flags == MS_NOSUID);
  CHECK(overlay.data == "index=off,userxattr,lowerdir=/a:/b");
  CHECK(overlay.loop);
  CHECK(davit::mount_spec::parse({"rbind", "/a", {}}).flags == (MS_BIND | MS_REC));
}

void test_compact() {
  std::string base;
  CHECK(davit::mount_spec::compact_overlay("index=off,lowerdir=/s/12/fs:/s/1/fs,upperdir=/s/3/fs",
                                           &base) ==
        "index=off,lowerdir=12/fs:1/fs,upperdir=/s/3/fs");
  CHECK(base == "/s");
  CHECK(davit::mount_spec::compact_overlay("lowerdir=/a:/b", &base) == "lowerdir=/a:/b");
  CHECK(base.empty());
  CHECK(davit::mount_spec::compact_overlay("upperdir=/a", &base) == "upperdir=/a");
  CHECK(davit::mount_spec::compact_overlay("lowerdir=rel:/s/b", &base) == "lowerdir=rel:/s/b");
  CHECK(davit::mount_spec::compact_overlay("lowerdir=/s/one", &base) == "lowerdir=one");
}

void test_real_mounts() {
  if (geteuid() != 0) {
    std::fprintf(stderr, "not root: real mounts not tested\n");
    return;
  }
  char pattern[] = "/tmp/davit-mount-spec-XXXXXX";
  std::string root = mkdtemp(pattern);
  // tmpfs: an upper directory cannot lie on an overlay, which a test machine's /tmp may be.
  CHECK(davit::mount_spec::mount({"tmpfs", "tmpfs", {"size=16m", "noexec"}}, root).has_value());
  std::string lower = "lowerdir=";
  for (int i = 0; i < 120; i++) {
    std::string name =
        root + "/a-directory-name-that-is-long-enough-to-fill-a-page-" + std::to_string(i);
    mkdir(name.c_str(), 0755);
    if (i > 0) lower += ':';
    lower += name;
    davit::Fd file(open((name + "/f" + std::to_string(i)).c_str(), O_CREAT | O_WRONLY, 0644));
  }
  for (const char* name : {"/upper", "/work", "/target", "/bound"}) {
    mkdir((root + name).c_str(), 0755);
  }
  CHECK(lower.size() > 8000);
  char before[4096], after[4096];
  CHECK(getcwd(before, sizeof before) != nullptr);
  auto overlay = davit::mount_spec::mount(
      {"overlay", "overlay", {"upperdir=" + root + "/upper", "workdir=" + root + "/work", lower}},
      root + "/target");
  if (!overlay) std::fprintf(stderr, "%s\n", overlay.error().text().c_str());
  CHECK(overlay.has_value() || overlay.error().code == E2BIG);
  CHECK(getcwd(after, sizeof after) != nullptr && std::string(before) == after);

  lower.resize(lower.find("-40:") + 3);  // forty layers: too long as given, short enough compacted
  if (overlay) CHECK(davit::mount_spec::unmount(root + "/target", false, 1000).has_value());
  overlay = davit::mount_spec::mount({"overlay", "overlay", {lower + ":" + root + "/upper"}},
                                     root + "/target");
  CHECK(overlay.has_value());
  CHECK(access((root + "/target/f40").c_str(), F_OK) == 0);

  std::vector<Spec> two = {{"bind", root + "/target", {"rbind", "ro", "nosuid"}},
                           {"tmpfs", "tmpfs", {"no-such-option=1"}}};
  CHECK(!davit::mount_spec::mount_all(two, root + "/bound").has_value());
  CHECK(davit::mount_spec::unmount(root + "/bound", false, 0).error().code == EINVAL);
  two.pop_back();
  CHECK(davit::mount_spec::mount_all(two, root + "/bound").has_value());
  CHECK(access((root + "/bound/f40").c_str(), F_OK) == 0);
  struct statvfs bound{};
  CHECK(statvfs((root + "/bound").c_str(), &bound) == 0);
  CHECK((bound.f_flag & (ST_RDONLY | ST_NOSUID)) == (ST_RDONLY | ST_NOSUID));

  CHECK(davit::mount_spec::unmount_all(root + "/bound", false, 1000).has_value());
  CHECK(davit::mount_spec::unmount_all(root + "/target", false, 1000).has_value());
  CHECK(davit::mount_spec::unmount_all(root + "/none", false, 0).has_value());
  CHECK(davit::mount_spec::unmount(root, false, 1000).has_value());
  CHECK(rmdir(root.c_str()) == 0);
}

}  // namespace

int main() {
  test_parse();
  test_compact();
  test_real_mounts();
  return failures == 0 ? 0 : 1;
}
