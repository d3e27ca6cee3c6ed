#include "native/oci/cgroup/oom.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "native/kernel/file.h"
#include "native/oci/cgroup/stats_files.h"

namespace davit::oci {

Result<OomWatch> watch_oom(const Cgroup& cgroup) {
  OomWatch watch;
  watch.v2 = cgroup.unified();
  const std::string& path = cgroup.path_of(watch.v2 ? "" : "memory");
  if (path.empty()) return fail(ENOENT, "no memory controller is mounted");
  if (watch.v2) {
    watch.events_path = path + "/memory.events";
    watch.fd = Fd(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (!watch.fd) return fail_errno("inotify");
    if (::inotify_add_watch(watch.fd.get(), watch.events_path.c_str(), IN_MODIFY) < 0)
      return fail_errno("watch \"" + watch.events_path + '"');
    return watch;
  }
  watch.events_path = path + "/memory.oom_control";
  watch.fd = Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!watch.fd) return fail_errno("eventfd");
  DAVIT_ASSIGN(Fd control, kernel::open_at(AT_FDCWD, watch.events_path.c_str(), O_RDONLY));
  // cgroup-v1/memory.txt, "OOM Control": the registration outlives the control descriptor.
  DAVIT_TRY(
      kernel::write_value(AT_FDCWD, (path + "/cgroup.event_control").c_str(),
                          std::to_string(watch.fd.get()) + " " + std::to_string(control.get())));
  return watch;
}

Result<std::uint64_t> OomWatch::read() const {
  char buffer[4096];
  while (::read(fd.get(), buffer, sizeof buffer) > 0 && v2) {
  }
  return counter(read_counters(events_path), "oom_kill");
}

}  // namespace davit::oci
