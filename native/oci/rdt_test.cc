// linux.intelRdt on a folder of plain files in resctrl's place: no machine of the tests has one.
// What a real one does by itself, files in a new folder and refusals of values, is not seen here.
#include "native/oci/rdt.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "native/kernel/file.h"
#include "native/oci/testing/bundle.h"
#include "native/oci/testing/check.h"

namespace {

using namespace davit;
using namespace davit::oci;

std::string root;

Result<RdtSpec> parsed(const std::string& text) {
  auto document = json::parse(text);
  if (!document) return std::unexpected(document.error());
  return parse_rdt(*document, json::At{"linux.intelRdt"});
}

std::string made(const std::string& text, Rdt* out = nullptr) {
  auto spec = parsed(text);
  auto rdt = spec ? make_rdt(*spec, "id", root) : std::unexpected(spec.error());
  if (rdt && out != nullptr) *out = *rdt;
  return rdt ? rdt->group.substr(root.size()) : rdt.error().text();
}

std::string content(const char* file) {
  return testing::shell("cat " + root + "/" + file);
}

void groups() {
  testing::shell(
      "mkdir -p " + root + "/clos/mon_groups && cd " + root +
      "/clos && printf 'MB:0=100;1=100\\n    L3:0=00f;1=7f\\n' > schemata && touch tasks");
  Rdt rdt;
  CHECK_EQUAL(made(R"({"closID": "clos"})", &rdt), "/clos");
  CHECK(!rdt.owned && join_rdt(rdt, 42));
  CHECK_EQUAL(content("clos/tasks"), "42");
  CHECK_EQUAL(made(R"({"closID": "clos", "l3CacheSchema": "L3:1=7f"})"), "/clos");
  CHECK_EQUAL(made(R"({"closID": "clos", "schemata": ["L3:0=f", "MB:1=100"]})"), "/clos");
  CHECK_CONTAINS(made(R"({"closID": "clos", "memBwSchema": "MB:0=50"})"), "has other schemata");
  CHECK_CONTAINS(made(R"({"closID": "none"})"), "no group \"" + root + "/none\"");
  // A group that cannot be filled does not stay.
  CHECK_CONTAINS(made(R"({"closID": "new", "l3CacheSchema": "L3:0=f"})"), "schemata");
  CHECK(::access((root + "/new").c_str(), F_OK) != 0);

  CHECK(update_rdt(rdt, "L3:0=1\nMB:0=9", "MB:0=10").has_value());
  CHECK_CONTAINS(content("clos/schemata"), "L3:0=1\nMB:0=10\n");
  CHECK(!update_rdt(Rdt{}, "L3:0=1", ""));

  CHECK_EQUAL(made(R"({"closID": "clos", "enableMonitoring": true})", &rdt), "/clos");
  CHECK(remove_rdt(rdt).has_value() && ::access((root + "/clos/mon_groups/id").c_str(), F_OK) != 0);
  CHECK(::access((root + "/clos").c_str(), F_OK) == 0);  // is not the container's

  CHECK_EQUAL(made("{}", &rdt), "/id");
  CHECK_CONTAINS(made("{}"), "file exists");
  CHECK(rdt.owned && remove_rdt(rdt) && ::access((root + "/id").c_str(), F_OK) != 0);
}

void refusals() {
  for (const char* name : {"..", "a/b", "info", "mon_groups"})
    CHECK_CONTAINS(made(R"({"closID": ")" + std::string(name) + "\"}"), "the name of a group");
  CHECK_CONTAINS(made(R"({"memBwSchema": "L3:0=f"})"), "memBwSchema: must be one line");
  if (::access("/sys/fs/resctrl/schemata", F_OK) != 0)
    CHECK_CONTAINS(make_rdt({}, "id").error().text(), "no resctrl file system is mounted");
}

}  // namespace

int main() {
  char path[] = "/tmp/davit-rdt-test.XXXXXX";
  if (::mkdtemp(path) == nullptr) return 1;
  root = path;
  groups();
  refusals();
  testing::shell("rm -rf " + root);
  return testing::result();
}
