#include "shim/task/rootfs.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "native/kernel/fd.h"
#include "native/kernel/mount_spec.h"
#include "native/kernel/wait.h"

namespace davit::shim::rootfs {

namespace {

constexpr int kBusyTries = 20;
constexpr int kBusyPause = 10;  // ms

Result<> mount_inside(const mount_spec::Spec& spec, const std::string& rootfs,
                      const std::string& target) {
  Fd root(::open(rootfs.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root) return fail_errno("open \"" + rootfs + "\"");
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  Fd place(static_cast<int>(::syscall(SYS_openat2, root.get(), target.c_str(), &how, sizeof how)));
  if (!place) return fail_errno("open \"" + target + "\" in \"" + rootfs + "\"");
  return mount_spec::mount(spec, "/proc/self/fd/" + std::to_string(place.get()));
}

}  // namespace

Result<> mount(const std::vector<wire::Mount>& mounts, const std::string& rootfs) {
  if (::mkdir(rootfs.c_str(), 0711) != 0 && errno != EEXIST) {
    return fail_errno("create \"" + rootfs + "\"");
  }
  for (const auto& m : mounts) {
    const mount_spec::Spec spec{m.type, m.source, m.options};
    const bool top = m.target.empty() || m.target == "/";
    const auto try_once = [&] {
      return top ? mount_spec::mount(spec, rootfs) : mount_inside(spec, rootfs, m.target);
    };
    auto mounted = try_once();
    // The same snapshot's last mount may be on its way out: see detach().
    for (int i = 0; i < kBusyTries && !mounted && mounted.error().code == EBUSY; i++) {
      kernel::sleep_for(kBusyPause);
      mounted = try_once();
    }
    if (mounted) continue;
    (void)unmount(rootfs);  // The first failure is the one to report.
    return mounted;
  }
  return {};
}

Result<> unmount(const std::string& rootfs) {
  if (mount_spec::unmount_all(rootfs, false, 0)) return {};
  return mount_spec::unmount_all(rootfs, true, 0);
}

Result<Fd> detach(const std::string& rootfs) {
  Fd top(::open(rootfs.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  DAVIT_TRY(mount_spec::unmount_all(rootfs, true, 0));
  return top;
}

}  // namespace davit::shim::rootfs
