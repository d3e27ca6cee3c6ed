// Mount options, of config.json and of containerd's API: type, source and options on lines.
#include <string>

#include "fuzz/target.h"
#include "native/kernel/mount_spec.h"
#include "native/oci/mount_options.h"

using namespace davit;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view rest = fuzz::text_of(data, size);
  oci::Mount mount;
  mount.destination = "/mnt";
  mount.type = fuzz::cut(rest, '\n');
  mount.source = fuzz::cut(rest, '\n');
  while (!rest.empty()) mount.options.emplace_back(fuzz::cut(rest, '\n'));
  auto options = oci::parse_mount_options(mount);
  if (options) fuzz::claim(options->filesystem.size() <= mount.options.size());
  mount_spec::Parsed parsed = mount_spec::parse({mount.type, mount.source, mount.options});
  std::string base;
  std::string shorter = mount_spec::compact_overlay(parsed.data, &base);
  fuzz::claim(base.empty() ? shorter == parsed.data : shorter.size() < parsed.data.size());
  for (const std::string& option : mount.options) (void)oci::parse_propagation(option);
  return 0;
}
