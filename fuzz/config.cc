// config.json, as the bundle of any client holds it.
#include "fuzz/target.h"
#include "native/oci/cgroup/hierarchy.h"
#include "native/oci/mount_options.h"
#include "native/oci/spec.h"
#include "native/oci/sysctl.h"

using namespace davit;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text = fuzz::text_of(data, size);
  (void)oci::parse_process(text);
  (void)oci::parse_resources(text);
  auto spec = oci::parse_spec(text);
  if (!spec) {
    fuzz::claim(!spec.error().message.empty());
    return 0;
  }
  (void)oci::check_sysctl(*spec, 0);
  (void)oci::parse_propagation(spec->rootfs_propagation);
  for (const oci::Mount& mount : spec->mounts) (void)oci::parse_mount_options(mount);
  fuzz::claim(!spec->process.args.empty() && spec->process.cwd.starts_with('/'));
  fuzz::claim(spec->process.user.uid != UINT32_MAX && spec->process.user.gid != UINT32_MAX);
  if (auto path = oci::cgroup_path(spec->cgroups_path, "/own", "id"))
    fuzz::claim((*path + '/').find("/../") == std::string::npos);
  return 0;
}
