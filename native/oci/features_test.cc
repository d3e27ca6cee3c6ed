// Every name that the features structure promises is one that the parsers take.
#include "native/oci/features.h"

#include "native/oci/json.h"
#include "native/oci/spec.h"
#include "native/oci/testing/check.h"

namespace {

using namespace davit;
using namespace davit::oci;

std::string error_of(const std::string& more) {
  auto spec =
      parse_spec(R"({"root":{"path":"r"},"process":{"args":["x"],"cwd":"/"},)" + more + "}");
  return spec ? "" : spec.error().text();
}

bool accepted(const std::string& more) {
  const std::string error = error_of(more);
  if (!error.empty()) fprintf(stderr, "%s\n", error.c_str());
  return error.empty();
}

std::string in_seccomp(const std::string& members) {
  return R"("linux":{"seccomp":{"defaultAction":"SCMP_ACT_ALLOW",)" + members + "}}";
}

std::string in_rule(const std::string& members) {
  return in_seccomp(R"("listenerPath":"/l","syscalls":[{"names":["getpid"],)" + members + "}]");
}

void names_are_accepted() {
  auto features = json::parse(features_json("9.9.9"));
  CHECK(features.has_value());
  if (!features) return;
  auto& all = *features;
  CHECK_EQUAL(std::string(all["annotations"]["org.davit.oci.version"].GetString()), "9.9.9");
  for (const auto& one : all["hooks"].GetArray())
    CHECK(accepted(std::string(R"("hooks":{")") + one.GetString() + R"(":[{"path":"/x"}]})"));
  for (const auto& one : all["mountOptions"].GetArray())
    CHECK(accepted(std::string(R"("mounts":[{"destination":"/x","options":[")") + one.GetString() +
                   R"("]}])"));
  auto& part = all["linux"];
  for (const auto& one : part["namespaces"].GetArray())
    CHECK(
        accepted(std::string(R"("linux":{"namespaces":[{"type":")") + one.GetString() + R"("}]})"));
  for (const auto& one : part["capabilities"].GetArray())
    CHECK(capability_number(one.GetString()) >= 0);
  auto& seccomp = part["seccomp"];
  for (const auto& one : seccomp["actions"].GetArray())
    CHECK(accepted(in_rule(std::string(R"("action":")") + one.GetString() + '"')));
  for (const auto& one : seccomp["operators"].GetArray())
    CHECK(accepted(in_rule(std::string(R"("action":"SCMP_ACT_LOG","args":[{"index":0,"op":")") +
                           one.GetString() + R"("}])")));
  // Those of the other byte order are known, but no filter holds both.
  for (const auto& one : seccomp["archs"].GetArray())
    CHECK(error_of(in_seccomp(std::string(R"("architectures":[")") + one.GetString() + "\"]"))
              .find("must be a known") == std::string::npos);
  for (const auto& one : seccomp["knownFlags"].GetArray())
    CHECK(accepted(in_seccomp(std::string(R"("flags":[")") + one.GetString() + "\"]")));
}

}  // namespace

int main() {
  names_are_accepted();
  return davit::testing::result();
}
