// Reading config.json and mount options, without running anything.
#include "native/oci/spec.h"
#include "native/oci/mount_options.h"
#include "native/oci/testing/check.h"

#include <sched.h>
#include <sys/mount.h>

namespace {

using namespace davit;
using namespace davit::oci;

std::string error_of(const std::string& config) {
  auto spec = parse_spec(config);
  return spec ? "" : spec.error().text();
}

std::string with(const std::string& more) {
  return R"({"root": {"path": "rootfs"}, "process": {"args": ["x"], "cwd": "/"})" +
         (more.empty() ? "" : ", " + more) + "}";
}

void members_are_named() {
  CHECK_EQUAL(error_of(with("")), "");
  CHECK_CONTAINS(error_of("{]"), "malformed JSON at offset 1");
  CHECK_CONTAINS(error_of("[]"), "JSON is not an object");
  CHECK_CONTAINS(error_of(std::string(5000, '[')), "nested too deeply");
  CHECK_CONTAINS(error_of(R"({"root": {}})"), "process: must be an object");
  CHECK_CONTAINS(error_of(with(R"("mounts": [{"type": "x"}])")), "mounts[0].destination");
  CHECK_CONTAINS(error_of(with(R"("mounts": [{"destination": "/x", "options": [1]}])")),
                 "mounts[0].options[0]: must be a string");
  CHECK_CONTAINS(error_of(with(R"("linux": {"namespaces": [{"type": "moon"}]})")),
                 "linux.namespaces[0].type");
  CHECK_CONTAINS(error_of(with(R"("linux": {"namespaces": [{"type": "pid"}, {"type": "pid"}]})")),
                 "given once only");
  CHECK_CONTAINS(error_of(with(R"("linux": {"resources": {"memory": {"limit": 1.5}}})")),
                 "linux.resources.memory.limit: must be an integer");
  CHECK_CONTAINS(
      error_of(with(R"("linux": {"resources": {"memory": {"limit": 9223372036854775808}}})")),
      "linux.resources.memory.limit: must be an integer");
  CHECK_CONTAINS(error_of(with(R"("hooks": {"prestart": [{"path": "relative"}]})")),
                 "hooks.prestart[0].path: must be an absolute path");
  CHECK_CONTAINS(error_of(with(R"("linux": {"intelRdt": []})")), "linux.intelRdt: ");
}

void unknown_members_are_ignored() {
  CHECK_EQUAL(error_of(with(R"("windows": {"x": [null, 1e300]}, "linux": {"later": true})")), "");
  CHECK_EQUAL(error_of(with(R"("linux": null, "mounts": null, "hooks": null)")), "");
}

void big_numbers_are_exact() {
  auto spec =
      parse_spec(with(R"("linux": {"resources": {"memory": {"limit": 9223372036854771712}}})"));
  CHECK(spec && spec->resources.memory.limit == 9223372036854771712);
}

void processes() {
  auto error = [](const char* text) {
    auto process = parse_process(text);
    return process ? std::string() : process.error().text();
  };
  CHECK_CONTAINS(error(R"({"cwd": "/"})"), "process.args");
  CHECK_CONTAINS(error(R"({"args": [], "cwd": "/"})"), "process.args");
  for (const char* uid : {"-1", "4294967295", "4294967296", "\"0\"", "1.0"})
    CHECK_CONTAINS(error((std::string(R"({"args": ["x"], "user": {"uid": )") + uid + "}}").c_str()),
                   "process.user.uid");
  CHECK_CONTAINS(error(R"({"args": ["x"], "user": {"additionalGids": [4294967295]}})"),
                 "process.user.additionalGids[0]");
  CHECK_CONTAINS(error(R"({"args": ["x"], "rlimits": [{"type": "RLIMIT_MOON"}]})"),
                 "process.rlimits[0].type");
  CHECK(capability_number("CAP_CHOWN") == 0 && capability_number("CAP_BPF") == 39);
  CHECK(capability_number("CAP_MOON") == -1);
}

MountOptions options_of(std::vector<std::string> options) {
  auto parsed = parse_mount_options({"/x", "tmpfs", "", std::move(options), {}, {}});
  CHECK(parsed.has_value());
  return parsed ? std::move(*parsed) : MountOptions{};
}

void mount_options() {
  MountOptions some = options_of({"rbind", "ro", "nosuid", "rprivate"});
  CHECK(some.bind && some.recursive);
  CHECK(some.top.set == (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID));
  CHECK(some.propagation == MS_PRIVATE && some.propagation_recursive);
  some = options_of({"rro", "rnosuid", "relatime", "rw"});
  CHECK(some.whole.set == (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID));
  CHECK(some.top.clear == (MOUNT_ATTR_RDONLY | MOUNT_ATTR__ATIME));
  // The last word counts.
  some = options_of({"ro", "rw", "noatime", "strictatime"});
  CHECK(some.top.set == MOUNT_ATTR_STRICTATIME && !some.read_only());
  some = options_of({"size=65536k", "mode=755", "context=\"a=b\"", "noswap", "sync", "defaults"});
  CHECK(some.filesystem == (std::vector<kernel::FsOption>{{"size", "65536k"},
                                                          {"mode", "755"},
                                                          {"context", "\"a=b\""},
                                                          {"noswap", ""},
                                                          {"sync", ""}}));
  CHECK(!parse_mount_options({"/x", "tmpfs", "", {"idmap"}, {}, {}}));
  some = options_of({"rbind", "ridmap"});
  CHECK(some.map_ids && some.map_ids_below);
  CHECK(!parse_propagation("sideways"));
  CHECK(parse_propagation("rshared") == std::uint64_t{MS_SHARED | MS_REC});
}

}  // namespace

int main() {
  members_are_named();
  unknown_members_are_ignored();
  big_numbers_are_exact();
  processes();
  mount_options();
  return testing::result();
}
