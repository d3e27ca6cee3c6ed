// linux.uidMappings and gidMappings: the input is the list itself.
#include <string>

#include "fuzz/target.h"
#include "native/oci/namespaces.h"
#include "native/oci/spec.h"

using namespace davit;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string list(fuzz::text_of(data, size));
  auto spec = oci::parse_spec(R"({"root": {"path": "r"}, "process": {"args": ["x"], "cwd": "/"},
      "linux": {"namespaces": [{"type": "user"}, {"type": "mount"}], "uidMappings": )" +
                              list + R"(, "gidMappings": )" + list + "}}");
  if (!spec) return 0;
  for (const oci::IdMapping& one : spec->uid_mappings) fuzz::claim(one.size > 0);
  (void)oci::open_namespaces(*spec);
  return 0;
}
