// What a container sees of file systems, and that an image cannot bend it.
#include <unistd.h>

#include "native/oci/testing/bundle.h"
#include "native/oci/testing/check.h"

namespace {

using namespace davit;
using testing::Bundle;

std::string output_of(Bundle& bundle, const std::string& script) {
  bundle.script(script);
  auto outcome = testing::run(bundle);
  return outcome.error.empty() ? outcome.output : "error: " + outcome.error;
}

void the_usual_mounts_are_there() {
  Bundle bundle;
  std::string mounts = output_of(bundle, "cat /proc/mounts");
  CHECK_CONTAINS(mounts, "proc /proc proc rw,nosuid,nodev,noexec,relatime");
  CHECK_CONTAINS(mounts, "tmpfs /dev tmpfs rw,nosuid,size=65536k,mode=755");
  CHECK_CONTAINS(mounts,
                 "devpts /dev/pts devpts rw,nosuid,noexec,relatime,gid=5,mode=620,ptmxmode=666");
  CHECK_CONTAINS(mounts, "shm /dev/shm tmpfs rw,nosuid,nodev,noexec");
  CHECK_CONTAINS(mounts, "mqueue /dev/mqueue mqueue");
  CHECK_CONTAINS(mounts, "sysfs /sys sysfs ro,nosuid,nodev,noexec");
  // The host's own root is gone.
  CHECK(!testing::contains(mounts, "/dev/vda /dev") && !testing::contains(mounts, " /mnt"));
}

void masked_and_read_only_paths() {
  Bundle bundle;
  CHECK_EQUAL(output_of(bundle,
                        "cat /proc/keys | wc -c; ls /sys/firmware /proc/acpi | grep -v : "
                        "| tr -d '\\n'; stat -c %t:%T /proc/keys"),
              "0\n1:3\n");
  CHECK_CONTAINS(output_of(bundle, "echo 1 > /proc/sys/kernel/printk"), "Read-only file system");
  CHECK_CONTAINS(output_of(bundle, "touch /proc/acpi/x"), "Read-only file system");
  bundle.set("/root/readonly", "true");
  CHECK_CONTAINS(output_of(bundle, "touch /x"), "Read-only file system");
  CHECK_EQUAL(output_of(bundle, "touch /dev/x && echo ok"), "ok\n");
}

void default_devices_and_links() {
  Bundle bundle;
  std::string text = output_of(
      bundle,
      "for d in null zero full random urandom tty; do stat -c '%n %F %t:%T %a' /dev/$d; done;"
      "for l in fd stdin stdout stderr ptmx; do readlink /dev/$l; done; echo x > /dev/null &&"
      "head -c 3 /dev/zero | wc -c");
  CHECK_EQUAL(
      text,
      "/dev/null character special file 1:3 666\n/dev/zero character special file 1:5 666\n"
      "/dev/full character special file 1:7 666\n/dev/random character special file 1:8 666\n"
      "/dev/urandom character special file 1:9 666\n/dev/tty character special file 5:0 666\n"
      "/proc/self/fd\n/proc/self/fd/0\n/proc/self/fd/1\n/proc/self/fd/2\npts/ptmx\n3\n");
}

void devices_of_the_config() {
  Bundle bundle;
  bundle.set("/linux/devices", R"([
      {"path": "/dev/net/tun", "type": "c", "major": 10, "minor": 200, "fileMode": 438,
       "uid": 5, "gid": 6},
      {"path": "/dev/pipe", "type": "p", "fileMode": 384}])");
  CHECK_EQUAL(output_of(bundle, "stat -c '%F %t:%T %a %u:%g' /dev/net/tun /dev/pipe"),
              "character special file a:c8 666 5:6\nfifo 0:0 600 0:0\n");
  // The config gave no rule for it.
  CHECK_CONTAINS(output_of(bundle, "cat /dev/net/tun"), "Operation not permitted");
}

void bind_mounts() {
  Bundle bundle;
  bundle.prepare("mkdir $B/data; echo hello > $B/data/file; echo one > $B/single");
  bundle.set("/mounts/-", R"({"destination": "/new/dir", "type": "bind", "source": ")" +
                              bundle.path() + R"(/data", "options": ["rbind", "ro", "nosuid"]})");
  bundle.set("/mounts/-", R"({"destination": "/etc/single", "source": "single",
                              "options": ["bind", "rw"]})");
  std::string text = output_of(bundle,
                               "cat /new/dir/file /etc/single; touch /new/dir/x; "
                               "echo two > /etc/single");
  CHECK_CONTAINS(text, "hello\none\n");
  CHECK_CONTAINS(text, "touch: /new/dir/x: Read-only file system");
  CHECK_EQUAL(testing::shell("cat " + bundle.path() + "/single"), "two\n");
  bundle.set("/mounts/-", R"({"destination": "/x", "type": "bind", "source": "/absent-source",
                              "options": ["bind"]})");
  CHECK_CONTAINS(output_of(bundle, "true"),
                 "mount \"/absent-source\" at \"/x\": open \"/absent-source\": no such file");
}

// A mount below the source follows "rro", not "ro".
void recursive_options() {
  for (bool recursive : {false, true}) {
    Bundle bundle;
    bundle.prepare("mkdir -p $B/data/sub; mount -t tmpfs x $B/data/sub");
    bundle.set("/mounts/-", R"({"destination": "/d", "type": "bind", "source": "data",
                                "options": ["rbind", ")" +
                                std::string(recursive ? "rro" : "ro") + "\"]}");
    std::string text = output_of(bundle, "touch /d/x; touch /d/sub/x && echo written");
    CHECK_CONTAINS(text, "/d/x: Read-only file system");
    CHECK(testing::contains(text, "written") == !recursive);
    bundle.prepare("umount $B/data/sub");
  }
}

void tmpfs_takes_the_images_files() {
  Bundle bundle;
  bundle.prepare(
      "mkdir -p $R/var/deep; echo kept > $R/var/deep/file; ln -s deep/file $R/var/link; "
      "chmod 710 $R/var/deep; chown 7:8 $R/var/deep/file");
  bundle.set("/mounts/-", R"({"destination": "/var", "type": "tmpfs", "source": "tmpfs",
                              "options": ["tmpcopyup", "ro"]})");
  CHECK_EQUAL(output_of(bundle,
                        "cat /var/link; stat -c '%a %u:%g' /var/deep /var/deep/file;"
                        "touch /var/x 2>&1 | grep -o Read-only"),
              "kept\n710 0:0\n644 7:8\nRead-only\n");
}

void destinations_stay_in_the_root() {
  Bundle bundle;
  bundle.prepare("mkdir $B/data $B/outside; echo hello > $B/data/file; ln -s ../../../.." +
                 bundle.path() + "/outside $R/link; ln -s /made/here $R/dangling");
  bundle.set("/mounts/-", R"({"destination": "/link/sub", "type": "bind", "source": "data",
                              "options": ["bind"]})");
  bundle.set("/mounts/-", R"({"destination": "/dangling", "type": "bind", "source": "data",
                              "options": ["bind"]})");
  CHECK_EQUAL(output_of(bundle, "cat " + bundle.path() + "/outside/sub/file /made/here/file"),
              "hello\nhello\n");
  CHECK_EQUAL(testing::shell("ls " + bundle.path() + "/outside"), "");
}

// CVE-2019-19921, CVE-2026-41579, CVE-2025-31133 and their like.
void an_image_cannot_redirect_special_mounts() {
  {
    Bundle bundle;
    bundle.prepare("mkdir $R/evil; ln -s /evil $R/proc");
    CHECK_CONTAINS(output_of(bundle, "true"), "at \"/proc\"");
    CHECK_CONTAINS(output_of(bundle, "true"), "\"/proc\" of the image is a link");
  }
  {
    Bundle bundle;
    bundle.prepare("ln -s /etc $R/dev");
    for (const char* mount : {"/mounts/4", "/mounts/3", "/mounts/2", "/mounts/1"})
      bundle.remove(mount);
    CHECK_CONTAINS(output_of(bundle, "true"), "\"/dev\" of the image");
    CHECK(::access((bundle.rootfs() + "/etc/null").c_str(), F_OK) != 0);
  }
  {
    Bundle bundle;
    bundle.set("/mounts/-", R"({"destination": "/proc/self/attr", "type": "tmpfs",
                                "source": "tmpfs"})");
    CHECK_CONTAINS(output_of(bundle, "true"), "it is inside a procfs");
    bundle.prepare("mkdir -p $B/fake; ln -s /proc/sys $R/hidden");
    bundle.set("/mounts/6/destination", "\"/hidden\"");
    CHECK_CONTAINS(output_of(bundle, "true"), "it is inside a procfs");
  }
  {
    Bundle bundle;
    bundle.prepare("mkdir $B/fake");
    bundle.set("/mounts/0", R"({"destination": "/proc", "type": "bind", "source": "fake",
                                "options": ["bind"]})");
    CHECK_CONTAINS(output_of(bundle, "true"), "only a procfs may be mounted there");
  }
  {
    // A replaced /proc/meminfo, as lxcfs does it, is allowed.
    Bundle bundle;
    bundle.prepare("echo little > $B/meminfo");
    bundle.set("/mounts/-", R"({"destination": "/proc/meminfo", "type": "bind",
                                "source": "meminfo", "options": ["bind"]})");
    CHECK_EQUAL(output_of(bundle, "cat /proc/meminfo"), "little\n");
  }
}

void cgroup_mount_shows_the_own_cgroup_only() {
  for (bool name_space : {true, false}) {
    Bundle bundle;
    if (name_space) bundle.set("/linux/namespaces/-", R"({"type": "cgroup"})");
    bundle.set("/mounts/-", R"({"destination": "/sys/fs/cgroup", "type": "cgroup",
                                "source": "cgroup", "options": ["nosuid", "noexec", "ro"]})");
    CHECK_EQUAL(output_of(bundle,
                          "cd /sys/fs/cgroup; f=memory/tasks; [ -e $f ] || f=cgroup.procs;"
                          "grep -cx 1 $f; mkdir ${f%/*}/x x 2>&1 | grep -c Read-only"),
                "1\n2\n");
  }
}

void the_working_directory() {
  Bundle bundle;
  bundle.set("/process/cwd", "\"/made/for/it\"");
  CHECK_EQUAL(output_of(bundle, "pwd"), "/made/for/it\n");
  // CVE-2024-21626: no descriptor of the runtime's leads outside.
  for (int fd = 3; fd < 40; ++fd) {
    bundle.set("/process/cwd", "\"/proc/self/fd/" + std::to_string(fd) + '"');
    std::string text = output_of(bundle, "pwd; ls ..");
    CHECK_CONTAINS(text, "error: ");
    CHECK(!testing::contains(text, bundle.path()));
  }
}

void no_descriptor_leaks() {
  Bundle bundle;
  ::dup2(0, 77);  // one that is not close-on-exec
  CHECK_EQUAL(output_of(bundle, "ls /proc/self/fd | tr '\\n' ' '"), "0 1 2 3 ");
  ::close(77);
}

void propagation() {
  Bundle bundle;
  bundle.prepare(
      "mkdir $B/data; mount -t tmpfs x $B/data; mount --make-shared $B/data; "
      "mkdir $B/data/sub");
  bundle.set("/mounts/-", R"({"destination": "/d", "type": "bind", "source": "data",
                              "options": ["rbind", "rslave"]})");
  bundle.set("/mounts/-", R"({"destination": "/p", "type": "bind", "source": "data",
                              "options": ["rbind", "rprivate"]})");
  CHECK_EQUAL(output_of(bundle,
                        "grep ' /d ' /proc/self/mountinfo | grep -c master:;"
                        "grep ' /p ' /proc/self/mountinfo | grep -c -e master -e shared"),
              "1\n0\n");
  bundle.set("/linux/rootfsPropagation", "\"rshared\"");
  CHECK_EQUAL(
      output_of(bundle, "grep ' / / \\| / ' /proc/self/mountinfo | head -1 | grep -c shared:"),
      "1\n");
  bundle.prepare("umount $B/data");
}

void without_pivot() {
  Bundle bundle;
  bundle.script("cat /etc/passwd | head -1; ls -d /work /home 2>/dev/null; ls /proc/1/root");
  auto options = bundle.options();
  options.no_pivot = true;
  auto outcome = testing::run(bundle, options);
  CHECK_EQUAL(outcome.error, "");
  CHECK_CONTAINS(outcome.output, "root:x:0:0");
  CHECK_CONTAINS(outcome.output, "bin\ndev\netc\nproc\nsys\ntmp\n");
}

}  // namespace

int main() {
  if (!testing::can_run_containers()) return testing::kSkipped;
  the_usual_mounts_are_there();
  masked_and_read_only_paths();
  default_devices_and_links();
  devices_of_the_config();
  bind_mounts();
  recursive_options();
  tmpfs_takes_the_images_files();
  destinations_stay_in_the_root();
  an_image_cannot_redirect_special_mounts();
  cgroup_mount_shows_the_own_cgroup_only();
  the_working_directory();
  no_descriptor_leaks();
  propagation();
  without_pivot();
  testing::check_leftovers();
  return testing::result();
}
