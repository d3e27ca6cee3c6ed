#include "native/oci/systemd/scope.h"

#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "native/kernel/process.h"
#include "native/oci/cgroup/hierarchy.h"
#include "native/oci/systemd/manager.h"
#include "native/oci/systemd/properties.h"

namespace davit::oci {
namespace {

[[noreturn]] void hold(pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(0);
  ::prctl(PR_SET_NAME, "davit-scope");
  kernel::close_all_from(0, {});
  for (;;) ::pause();
}

}  // namespace

Scope::Scope(Scope&& other) noexcept
    : unit_(std::move(other.unit_)),
      cgroups_path_(std::move(other.cgroups_path_)),
      holder_(std::exchange(other.holder_, -1)),
      holder_fd_(std::move(other.holder_fd_)) {}

Scope::~Scope() {
  if (holder_ < 0) return;
  (void)kernel::signal_pidfd(holder_fd_.get(), SIGKILL);
  (void)kernel::reap(holder_);
}

Result<Scope> Scope::start(std::string_view cgroups_path, std::string_view id,
                           const Resources& resources,
                           const std::map<std::string, std::string>& annotations) {
  Scope scope;
  scope.cgroups_path_ =
      cgroups_path.empty() ? "system.slice:davit:" + std::string(id) : std::string(cgroups_path);
  DAVIT_ASSIGN(UnitName name, unit_name(scope.cgroups_path_));
  if (name.unit.ends_with(".slice"))
    return fail(EINVAL, "linux.cgroupsPath: a container is a scope, not \"" + name.unit + '"');
  DAVIT_ASSIGN(Hierarchies hierarchies, find_hierarchies());
  DAVIT_ASSIGN(dbus::Properties limits, limit_properties(resources, hierarchies.unified, true));
  DAVIT_ASSIGN(dbus::Properties annotated, annotated_properties(annotations));
  DAVIT_ASSIGN(SystemdManager manager, SystemdManager::connect());

  pid_t self = ::getpid();
  DAVIT_ASSIGN(kernel::Child child, kernel::clone_process(0));
  if (child.pid == 0) hold(self);
  scope.holder_ = child.pid;
  scope.holder_fd_ = std::move(child.pidfd);

  dbus::Properties properties = {
      {"Description", "davit container " + std::string(id)},
      {"Slice", name.slice},
      {"PIDs", std::vector<std::uint32_t>{static_cast<std::uint32_t>(child.pid)}},
      {"Delegate", true},
      {"DefaultDependencies", false},
      {"MemoryAccounting", true},
      {"CPUAccounting", true},
      {hierarchies.unified ? "IOAccounting" : "BlockIOAccounting", true},
      {"TasksAccounting", true},
  };
  for (dbus::Properties* more : {&limits, &annotated})
    std::move(more->begin(), more->end(), std::back_inserter(properties));
  DAVIT_TRY(manager.start(name.unit, properties));
  scope.unit_ = std::move(name.unit);
  return scope;
}

Result<> update_scope(const std::string& unit, const Resources& resources, bool unified) {
  DAVIT_ASSIGN(dbus::Properties limits, limit_properties(resources, unified, false));
  if (limits.empty()) return {};
  DAVIT_ASSIGN(SystemdManager manager, SystemdManager::connect());
  return manager.set(unit, limits);
}

Result<> stop_scope(const std::string& unit) {
  DAVIT_ASSIGN(SystemdManager manager, SystemdManager::connect());
  return manager.stop(unit);
}

}  // namespace davit::oci
