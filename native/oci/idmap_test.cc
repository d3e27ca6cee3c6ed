// Files on mounts with mapped ids: the right owners on both sides, and nothing is chowned.
#include <unistd.h>

#include "native/kernel/mount_spec.h"
#include "native/oci/testing/bundle.h"
#include "native/oci/testing/check.h"

namespace {

using namespace davit;
using testing::Bundle;
using testing::Running;
using testing::shell;

constexpr const char* kMaps = R"([{"containerID": 0, "hostID": 100000, "size": 65536}])";

void in_user_namespace(Bundle& bundle) {
  bundle.set("/linux/namespaces/-", R"({"type": "user"})");
  bundle.set("/linux/uidMappings", kMaps).set("/linux/gidMappings", kMaps);
}

// What a snapshotter gives for such a container: the image's layer, as it is, with mapped ids.
void root_and_volume() {
  Bundle bundle;
  bundle.prepare(
      "mkdir $B/upper $B/work $B/merged $B/volume; chown 100000:100000 $B/upper; chmod 711 $B;"
      "echo image > $R/etc/file; chown 33:33 $R/etc/file; chmod 666 $R/etc/file; echo kept > "
      "$B/volume/kept;"
      "chown 33:34 $B/volume/kept");
  mount_spec::Spec overlay{
      "overlay",
      "overlay",
      {"lowerdir=" + bundle.rootfs(), "upperdir=" + bundle.path() + "/upper",
       "workdir=" + bundle.path() + "/work", "uidmap=0:100000:65536", "gidmap=0:100000:65536"}};
  auto mounted = mount_spec::mount(overlay, bundle.path() + "/merged");
  CHECK_EQUAL(mounted ? "" : mounted.error().text(), "");
  if (!mounted) return;
  in_user_namespace(bundle);
  bundle.set("/root/path", "\"merged\"");
  bundle.set("/mounts/-", R"({"destination": "/volume", "type": "bind", "source": "volume",
                              "options": ["rbind", "idmap"]})");
  bundle.script("sleep 1000");
  {
    Running running(bundle);
    CHECK_EQUAL(running.error(), "");
    if (running.ok()) {
      CHECK_EQUAL(shell("stat -c %u:%g /proc/" + std::to_string(running->pid())),
                  "100000:100000\n");
      auto inside = running.exec(
          bundle.process("stat -c %u:%g / /bin/busybox /etc/file /volume/kept; echo new > /etc/new;"
                         "echo more >> /etc/file; echo x > /volume/new; chown 33:34 /volume/new;"
                         "stat -c %u:%g /etc/new /etc/file /volume/new"));
      CHECK_EQUAL(inside.error + inside.output, "0:0\n0:0\n33:33\n33:34\n0:0\n33:33\n33:34\n");
    }
  }
  (void)mount_spec::unmount_all(bundle.path() + "/merged", true, 0);
  // The layer is as it was; the volume holds the container's ids; what was written to the root
  // holds the host's.
  CHECK_EQUAL(shell("cd " + bundle.path() +
                    " && stat -c %u:%g rootfs/bin/busybox rootfs/etc/file "
                    "volume/kept volume/new upper/etc/new upper/etc/file"),
              "0:0\n33:33\n33:34\n33:34\n100000:100000\n100033:100033\n");
}

// A mount's own mappings, in a container whose users are the host's.
void mappings_of_a_mount() {
  Bundle bundle;
  bundle.prepare("mkdir -p $B/volume/below; touch $B/volume/file; chown 7:8 $B/volume/file");
  bundle.set("/mounts/-", R"({"destination": "/volume", "type": "bind", "source": "volume",
      "uidMappings": [{"containerID": 7, "hostID": 1007, "size": 1}],
      "gidMappings": [{"containerID": 8, "hostID": 1008, "size": 1}], "options": ["rbind"]})");
  bundle.script("stat -c %u:%g /volume/file /volume");
  auto outcome = testing::run(bundle);
  CHECK_EQUAL(outcome.error + outcome.output, "1007:1008\n65534:65534\n");
}

// "idmap" is for the one mount, "ridmap" also for what is mounted below it.
void recursive() {
  Bundle bundle;
  bundle.prepare(
      "mkdir -p $B/volume/below $B/other; touch $B/other/file; mount --bind $B/other "
      "$B/volume/below; chown -R 100000:100000 $R; chmod 711 $B");
  in_user_namespace(bundle);
  for (const char* option : {"idmap", "ridmap"}) {
    bundle.set("/mounts/6", R"({"destination": "/volume", "type": "bind", "source": "volume",
                                "options": ["rbind", ")" +
                                std::string(option) + "\"]}");
    bundle.script("stat -c %u /volume /volume/below/file");
    auto outcome = testing::run(bundle);
    CHECK_EQUAL(outcome.error + outcome.output,
                std::string("0\n") + (*option == 'r' ? "0\n" : "65534\n"));
  }
  bundle.prepare("umount $B/volume/below");
}

void refused() {
  Bundle bundle;
  bundle.set("/mounts/-", R"({"destination": "/x", "type": "bind", "source": "/tmp",
                              "options": ["bind", "idmap"]})");
  CHECK_CONTAINS(testing::run(bundle).error, "mapping its ids needs mappings or a user namespace");
  bundle.set("/mounts/6", R"({"destination": "/x", "type": "tmpfs", "source": "x",
                              "options": ["idmap"]})");
  CHECK_CONTAINS(testing::run(bundle).error, "only a bind mount can map ids");
  bundle.set("/mounts/6", R"({"destination": "/x", "type": "bind", "source": "/proc",
      "uidMappings": [{"containerID": 0, "hostID": 1, "size": 1}],
      "gidMappings": [{"containerID": 0, "hostID": 1, "size": 1}], "options": ["bind"]})");
  CHECK_CONTAINS(testing::run(bundle).error, "its file system cannot be shown with mapped ids");
  for (const char* bad :
       {"uidmap=0:1", "uidmap=", "uidmap=0:1:2:3", "uidmap=0:1:-1", "uidmap=a:b:c"})
    CHECK(!mount_spec::mount({"bind", "/tmp", {"rbind", bad, "gidmap=0:1:1"}}, "/absent"));
}

}  // namespace

int main() {
  if (!testing::can_run_containers()) return testing::kSkipped;
  root_and_volume();
  mappings_of_a_mount();
  recursive();
  refused();
  testing::check_leftovers();
  return testing::result();
}
