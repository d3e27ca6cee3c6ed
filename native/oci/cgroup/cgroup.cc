#include "native/oci/cgroup/cgroup.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "native/kernel/file.h"
#include "native/kernel/wait.h"
#include "native/oci/cgroup/devices.h"
#include "native/oci/cgroup/limits.h"
#include "native/oci/systemd/scope.h"

namespace davit::oci {
namespace {

constexpr int kFreezeTries = 400, kRemoveTries = 100;

bool has_controller(std::string_view controllers, std::string_view name) {
  Hierarchy one;
  one.controllers = controllers;
  return one.has(name);
}

Result<Fd> open_dir(const std::string& path) {
  return kernel::open_at(AT_FDCWD, path.c_str(), O_RDONLY | O_DIRECTORY);
}

// v2: a child has a controller only when every parent passes it on.
void enable_controllers(const std::string& mount, const std::string& path) {
  auto available = kernel::read_file(AT_FDCWD, (mount + "/cgroup.controllers").c_str());
  if (!available || available->empty() || *available == "\n") return;
  for (std::size_t end = 0; end != std::string::npos; end = path.find('/', end + 1)) {
    std::string file = mount + path.substr(0, end) + "/cgroup.subtree_control";
    std::string_view rest = *available;
    while (!rest.empty()) {
      std::size_t stop = rest.find_first_of(" \n");
      // One by one: a controller that this level cannot pass on must not keep the others back.
      if (stop != 0)
        (void)kernel::write_value(AT_FDCWD, file.c_str(), "+" + std::string(rest.substr(0, stop)));
      if (stop == std::string_view::npos) break;
      rest.remove_prefix(stop + 1);
    }
  }
}

using Directory = std::unique_ptr<DIR, int (*)(DIR*)>;

// Calls `visit(path)` for the directory and all below it, children first.
template <typename Visit>
Result<> walk(const std::string& path, const Visit& visit) {
  Directory dir(::opendir(path.c_str()), ::closedir);
  if (!dir) return errno == ENOENT ? Result<>() : fail_errno("open \"" + path + "\"");
  while (const dirent* entry = ::readdir(dir.get())) {
    if (entry->d_type != DT_DIR || entry->d_name[0] == '.') continue;
    DAVIT_TRY(walk(path + "/" + entry->d_name, visit));
  }
  return visit(path);
}

Result<> append_pids(const std::string& path, std::vector<pid_t>& out) {
  auto text = kernel::read_file(AT_FDCWD, (path + "/cgroup.procs").c_str(), 16 << 20);
  if (!text) {
    // A cgroup that went meanwhile, or one of v2's threaded ones, has nobody to name.
    if (text.error().code == ENOENT || text.error().code == ENODEV ||
        text.error().code == EOPNOTSUPP)
      return {};
    return std::unexpected(text.error());
  }
  const char* at = text->c_str();
  while (*at != '\0') {
    char* end = nullptr;
    long pid = std::strtol(at, &end, 10);
    if (end == at) break;
    if (pid > 0) out.push_back(static_cast<pid_t>(pid));
    at = *end == '\n' ? end + 1 : end;
  }
  return {};
}

// False when it was there before.
Result<bool> make_cgroup(const std::string& path) {
  if (::mkdir(path.c_str(), 0755) == 0) return true;
  if (errno == EEXIST) return false;
  DAVIT_TRY(kernel::make_dirs(AT_FDCWD, path.c_str(), 0755));
  return true;
}

}  // namespace

Result<Cgroup> Cgroup::begin(std::string_view cgroups_path, std::string_view id,
                             const Scope* scope) {
  DAVIT_ASSIGN(Hierarchies hierarchies, find_hierarchies());
  Cgroup cgroup;
  if (scope != nullptr) {
    cgroup.unit_ = scope->unit();
    cgroup.holder_ = scope->holder();
  }
  cgroup.unified_ = hierarchies.unified;
  for (Hierarchy& hierarchy : hierarchies.all) {
    DAVIT_ASSIGN(std::string below, cgroup_path(cgroups_path, hierarchy.own_path, id));
    cgroup.to_make_.push_back({std::move(hierarchy.controllers), hierarchy.mount + below,
                               hierarchy.v2, hierarchy.mount.size()});
  }
  auto v2 = std::find_if(cgroup.to_make_.begin(), cgroup.to_make_.end(),
                         [](const Place& place) { return place.v2; });
  if (v2 == cgroup.to_make_.end()) return cgroup;
  Place place = std::move(*v2);
  cgroup.to_make_.erase(v2);
  if (auto made = cgroup.make(std::move(place)); !made) {
    (void)cgroup.remove();
    return std::unexpected(std::move(made).error());
  }
  return cgroup;
}

Result<> Cgroup::make(Place place) {
  DAVIT_ASSIGN(bool fresh, make_cgroup(place.path));
  // Whoever is in there would be killed along with this container.
  std::vector<pid_t> others;
  if (!fresh) (void)append_pids(place.path, others);
  std::erase(others, holder_);
  if (!others.empty())
    return fail(EBUSY, "cgroup \"" + place.path + "\" has processes of somebody else's in it");
  places_.push_back(std::move(place));
  const Place& made = places_.back();
  std::string mount = made.path.substr(0, made.mount), below = made.path.substr(made.mount);
  if (made.v2 && unified_) enable_controllers(mount, below);
  if (!has_controller(made.controllers, "cpuset")) return {};
  DAVIT_ASSIGN(Fd top, open_dir(mount));
  return inherit_cpuset(top.get(), below);
}

Result<> Cgroup::complete(const Resources& resources) {
  for (Place& place : std::exchange(to_make_, {})) DAVIT_TRY(make(std::move(place)));
  return apply(resources, true);
}

Result<Cgroup> Cgroup::find(std::string_view cgroups_path, std::string_view id) {
  DAVIT_ASSIGN(Hierarchies hierarchies, find_hierarchies());
  Cgroup cgroup;
  cgroup.unified_ = hierarchies.unified;
  // systemd does not notice that a cgroup is removed, and keeps the scope.
  if (auto name = unit_name(cgroups_path); name && ::access("/run/systemd/system", F_OK) == 0)
    cgroup.unit_ = std::move(name->unit);
  for (const Hierarchy& hierarchy : hierarchies.all) {
    DAVIT_ASSIGN(std::string below, cgroup_path(cgroups_path, hierarchy.own_path, id));
    std::string path = hierarchy.mount + below;
    if (::access(path.c_str(), F_OK) != 0) continue;
    cgroup.places_.push_back({hierarchy.controllers, std::move(path), hierarchy.v2});
  }
  return cgroup;
}

Cgroup Cgroup::reopen(std::vector<std::string> paths, std::string unit) {
  Cgroup cgroup;
  cgroup.unit_ = std::move(unit);
  bool v1 = false;
  for (const std::string& text : paths) {
    // A controller list may itself hold one "=": name=systemd.
    std::size_t slash = text.find("=/");
    if (slash == std::string::npos) continue;
    Place place{text.substr(0, slash), text.substr(slash + 1), slash == 0};
    v1 |= !place.v2 && !place.controllers.starts_with("name=");
    cgroup.places_.push_back(std::move(place));
  }
  cgroup.unified_ = !v1 && !cgroup.places_.empty();
  return cgroup;
}

std::vector<std::string> Cgroup::paths() const {
  std::vector<std::string> all;
  for (const auto* list : {&places_, &to_make_})
    for (const Place& place : *list) all.push_back(place.controllers + "=" + place.path);
  return all;
}

const Cgroup::Place* Cgroup::place_of(std::string_view controller) const {
  for (const Place& place : places_)
    if (controller.empty() ? place.v2 : has_controller(place.controllers, controller))
      return &place;
  return nullptr;
}

const std::string& Cgroup::path_of(std::string_view controller) const {
  static const std::string kNone;
  const Place* place = place_of(controller);
  return place == nullptr ? kNone : place->path;
}

Result<Cgroup> Cgroup::below(const std::vector<std::string>& choices) const {
  Cgroup out = *this;
  for (const std::string& choice : choices) {
    std::size_t colon = choice.find(':');
    std::string_view path = std::string_view(choice).substr(colon + 1);
    std::string_view wanted =
        colon == std::string::npos ? std::string_view() : std::string_view(choice).substr(0, colon);
    if (("/" + std::string(path) + "/").find("/../") != std::string::npos)
      return fail(EINVAL, "cgroup \"" + choice + "\" is not below the container's");
    bool found = false;
    for (Place& place : out.places_) {
      if (!wanted.empty() && place.controllers != wanted &&
          !has_controller(place.controllers, wanted))
        continue;
      place.path += '/';
      place.path += path;
      found = true;
    }
    if (!found) return fail(EINVAL, "cgroup \"" + choice + "\": no such controller");
  }
  return out;
}

Result<Fd> Cgroup::clone_target() const {
  const Place* v2 = place_of("");
  return v2 == nullptr ? Fd() : open_dir(v2->path);
}

Result<Cgroup::Entrance> Cgroup::entrance() const {
  Entrance entrance;
  DAVIT_ASSIGN(entrance.clone_target, clone_target());
  for (const Place& place : places_) {
    if (place.v2) continue;
    DAVIT_ASSIGN(Fd tasks, kernel::open_at(AT_FDCWD, (place.path + "/tasks").c_str(), O_WRONLY));
    entrance.task_files.push_back(std::move(tasks));
  }
  return entrance;
}

Result<Fd> Cgroup::open_below_with(pid_t init) const {
  const std::string& own = path_of("");
  std::string file = "/proc/" + std::to_string(init) + "/cgroup";
  DAVIT_ASSIGN(std::string text, kernel::read_file(AT_FDCWD, file.c_str()));
  std::size_t at = text.find("0::");
  if (own.empty() || at == std::string::npos) return fail(ENOENT, "cgroup v2");
  std::string path = text.substr(at + 3, text.find('\n', at) - at - 3);
  // What is below the mount is said by both: the longest beginning of one that the other ends with.
  if (!own.ends_with(path))
    for (std::size_t end = path.rfind('/'); end != 0 && end != std::string::npos;
         end = path.rfind('/', end - 1))
      if (own.ends_with(path.substr(0, end))) return open_dir(own + path.substr(end));
  return fail(ENOENT, "a cgroup below \"" + own + '"');
}

Result<> Cgroup::delegate(uid_t owner) const {
  if (!unified_) return {};
  constexpr gid_t kSame = static_cast<gid_t>(-1);
  // cgroups(7), "Cgroups v2 delegation": what kernels before 4.15 had, which did not say.
  std::string files = kernel::read_file(AT_FDCWD, "/sys/kernel/cgroup/delegate")
                          .value_or("cgroup.procs\ncgroup.subtree_control\ncgroup.threads\n");
  DAVIT_ASSIGN(Fd dir, open_dir(path_of("")));
  if (::fchown(dir.get(), owner, kSame) != 0) return fail_errno("delegate the cgroup");
  for (std::string_view rest = files; !rest.empty();) {
    std::string file(rest.substr(0, rest.find('\n')));
    rest.remove_prefix(std::min(rest.size(), file.size() + 1));
    // Files of controllers that are not enabled are not there.
    if (!file.empty() && ::fchownat(dir.get(), file.c_str(), owner, kSame, 0) != 0 &&
        errno != ENOENT)
      return fail_errno("delegate \"" + file + "\" of the cgroup");
  }
  return {};
}

Result<> Cgroup::apply(const Resources& resources, bool with_devices) const {
  if (!unified_)
    for (std::string_view controller : controllers_needed(resources))
      if (place_of(controller) == nullptr)
        return fail(ENOTSUP, "linux.resources: the " + std::string(controller) +
                                 " controller is needed, which is not mounted");
  DAVIT_ASSIGN(DevicePolicy devices, device_policy(resources.devices));
  for (const Place& place : places_) {
    if (place.v2 && !unified_) continue;
    DAVIT_ASSIGN(Fd dir, open_dir(place.path));
    if (place.v2) {
      if (with_devices) DAVIT_TRY(apply_devices_v2(dir.get(), devices));
      DAVIT_TRY(apply_limits_v2(dir.get(), resources));
      continue;
    }
    if (with_devices && has_controller(place.controllers, "devices"))
      DAVIT_TRY(apply_devices_v1(dir.get(), devices));
    for (std::string_view rest = place.controllers; !rest.empty();) {
      std::string_view one = rest.substr(0, rest.find(','));
      DAVIT_TRY(apply_limits_v1(dir.get(), one, resources));
      rest.remove_prefix(one.size() == rest.size() ? one.size() : one.size() + 1);
    }
  }
  if (!unified_ && !resources.unified.empty())
    return fail(0, "linux.resources.unified: needs cgroup v2, this machine limits by v1");
  return {};
}

Result<> Cgroup::update(const Resources& resources) {
  // First systemd, which would write what it knows of at its next reload.
  if (!unit_.empty()) DAVIT_TRY(update_scope(unit_, resources, unified_));
  return apply(resources, !resources.devices.empty());
}

Result<bool> Cgroup::frozen() const {
  if (unified_) {
    DAVIT_ASSIGN(std::string events,
                 kernel::read_file(AT_FDCWD, (path_of("") + "/cgroup.events").c_str()));
    return events.find("frozen 1") != std::string::npos;
  }
  const std::string& freezer = path_of("freezer");
  if (freezer.empty()) return false;
  DAVIT_ASSIGN(std::string state,
               kernel::read_file(AT_FDCWD, (freezer + "/freezer.state").c_str()));
  return state == "FROZEN\n";
}

Result<> Cgroup::freeze(bool freeze) const {
  const std::string& path = path_of(unified_ ? "" : "freezer");
  if (path.empty()) return fail(0, "pausing needs the freezer controller, which is not mounted");
  std::string file = path + (unified_ ? "/cgroup.freeze" : "/freezer.state");
  std::string value = unified_ ? (freeze ? "1" : "0") : (freeze ? "FROZEN" : "THAWED");
  for (int tries = 0; tries < kFreezeTries; tries++) {
    // v1 may stay FREEZING while processes are being forked, until it is written again.
    if (tries == 0 || (!unified_ && tries % 10 == 0))
      DAVIT_TRY(kernel::write_value(AT_FDCWD, file.c_str(), value));
    DAVIT_ASSIGN(bool now, frozen());
    if (now == freeze) return {};
    kernel::sleep_for(tries < 10 ? 1 : 5);
  }
  if (freeze) (void)kernel::write_value(AT_FDCWD, file.c_str(), unified_ ? "0" : "THAWED");
  return fail(ETIMEDOUT, freeze ? "freeze the cgroup" : "thaw the cgroup");
}

Result<std::vector<pid_t>> Cgroup::pids() const {
  // Any hierarchy knows them all; v2 has no per-controller splits, so it is asked first.
  const Place* place = place_of("");
  if (place == nullptr) place = place_of("freezer");
  if (place == nullptr && !places_.empty()) place = &places_.front();
  std::vector<pid_t> all;
  if (place == nullptr) return all;
  DAVIT_TRY(walk(place->path, [&](const std::string& path) { return append_pids(path, all); }));
  return all;
}

Result<> Cgroup::kill(int signal) const {
  if (signal == SIGKILL && place_of("") != nullptr) {
    // Atomic: no process is born between the look and the kill (Linux 5.14).
    auto killed = kernel::write_value(AT_FDCWD, (path_of("") + "/cgroup.kill").c_str(), "1");
    if (killed) {
      // A process that v1 holds frozen dies only when it is thawed.
      if (!unified_ && frozen().value_or(false)) return freeze(false);
      return {};
    }
    if (killed.error().code != ENOENT) return killed;
  }
  bool was_frozen = frozen().value_or(false);
  bool froze = !was_frozen && freeze(true).has_value();
  Result<> first;
  if (auto all = pids(); all) {
    for (pid_t pid : *all)
      if (::kill(pid, signal) != 0 && errno != ESRCH && first)
        first = fail_errno("signal process " + std::to_string(pid));
  } else {
    first = std::unexpected(all.error());
  }
  if (froze || (was_frozen && signal == SIGKILL)) {
    auto thawed = freeze(false);
    if (first && !thawed) first = thawed;
  }
  return first;
}

Result<Stats> Cgroup::stats() const {
  return unified_ ? read_stats_v2(path_of("")) : read_stats_v1(*this);
}

Result<> Cgroup::remove() const {
  Result<> stopped;
  if (!unit_.empty()) stopped = stop_scope(unit_);
  DAVIT_TRY(remove_directories());
  return stopped;
}

Result<> Cgroup::remove_directories() const {
  Result<> first;
  for (const Place& place : places_) {
    if (place.path.ends_with('/')) continue;  // the root itself was asked for
    Result<> removed;
    for (int tries = 0; tries < kRemoveTries; tries++) {
      // Without children of its own, which is the rule, one call does it.
      if (::rmdir(place.path.c_str()) == 0 || errno == ENOENT) {
        removed = {};
        break;
      }
      removed = fail_errno("remove cgroup \"" + place.path + "\"");
      if (removed.error().code != EBUSY && removed.error().code != ENOTEMPTY) break;
      (void)walk(place.path, [](const std::string& path) -> Result<> {
        ::rmdir(path.c_str());
        return {};
      });
      if (::access(place.path.c_str(), F_OK) != 0) {
        removed = {};
        break;
      }
      kernel::sleep_for(tries < 10 ? 1 : 5);
    }
    if (first && !removed) first = removed;
  }
  return first;
}

}  // namespace davit::oci
