#include "native/oci/container_state.h"

#include <fcntl.h>
#include <sched.h>

#include <algorithm>

#include "native/kernel/file.h"
#include "native/oci/json_text.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

namespace davit::oci {
namespace {

constexpr std::size_t kLargestConfig = 16 << 20;
constexpr int kAnyNamespace = CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS |
                              CLONE_NEWUSER | CLONE_NEWCGROUP | CLONE_NEWTIME;

// runtime-spec, "Cgroup ownership": the host's id of the user whose program the container runs,
// when its cgroup is the top of a namespace of its own and to be written to.
std::optional<uid_t> cgroup_owner(const Spec& spec) {
  if (!spec.new_namespace(CLONE_NEWCGROUP)) return std::nullopt;
  bool writable = false;
  for (const Mount& mount : spec.mounts) {
    if (mount.destination != "/sys/fs/cgroup") continue;
    writable = mount.type.starts_with("cgroup") &&
               std::find(mount.options.begin(), mount.options.end(), "ro") == mount.options.end();
  }
  if (!writable) return std::nullopt;
  const Namespace* user = spec.find_namespace(CLONE_NEWUSER);
  uid_t uid = spec.process.user.uid;
  if (user == nullptr) return uid;
  for (const IdMapping& one : spec.uid_mappings)
    if (uid >= one.container && uid - one.container < one.size)
      return one.host + (uid - one.container);
  return std::nullopt;  // of a namespace that is joined, whose maps the config does not say
}

}  // namespace

Result<std::string> read_config(const std::string& path) {
  return kernel::read_file(AT_FDCWD, path.c_str(), kLargestConfig);
}

Result<Spec> parse_config(const std::string& path, const std::string& text) {
  auto spec = parse_spec(text);
  if (!spec) return wrap('"' + path + '"', std::move(spec).error());
  return spec;
}

std::string config_path(const std::string& bundle) {
  return bundle + "/config.json";
}

Result<Spec> read_kept_spec(const StateFile& state, const std::string& state_dir) {
  std::string path =
      state_dir == state.bundle ? config_path(state.bundle) : state_dir + '/' + kKeptSpec;
  DAVIT_ASSIGN(std::string text, read_config(path));
  return parse_config(path, text);
}

Result<> keep_spec(const std::string& state_dir, const std::string& text) {
  DAVIT_ASSIGN(Fd dir, kernel::open_at(AT_FDCWD, state_dir.c_str(), O_PATH | O_DIRECTORY));
  return kernel::replace_file(dir.get(), kKeptSpec, text, 0600);
}

// Only hooks and a seccomp agent read them.
std::string annotations_json(const Spec& spec) {
  const Hooks& hooks = spec.hooks;
  std::string out;
  bool any = spec.seccomp && spec.seccomp->notify;
  for (const auto* list : {&hooks.prestart, &hooks.create_runtime, &hooks.create_container,
                           &hooks.start_container, &hooks.poststart, &hooks.poststop})
    any |= !list->empty();
  if (!any) return out;
  for (const auto& [key, value] : spec.annotations)
    out += (out.empty() ? '{' : ',') + json::quote(key) + ':' + json::quote(value);
  return out.empty() ? out : out + '}';
}

Result<std::optional<Scope>> Container::State::begin_cgroup(const Spec& spec) {
  std::optional<Scope> scope;
  if (options.systemd_cgroup) {
    auto started = Scope::start(spec.cgroups_path, options.id, spec.resources, spec.annotations);
    if (!started) return std::unexpected(std::move(started).error());
    scope.emplace(std::move(*started));
  }
  DAVIT_ASSIGN(cgroup, Cgroup::begin(scope ? scope->cgroups_path() : spec.cgroups_path, options.id,
                                     scope ? &*scope : nullptr));
  if (auto owner = cgroup_owner(spec)) {
    if (auto given = cgroup.delegate(*owner); !given) {
      scope.reset();
      (void)cgroup.remove();
      return std::unexpected(std::move(given).error());
    }
  }
  file.cgroups = cgroup.paths();
  file.systemd_unit = cgroup.unit();
  return scope;
}

void Container::State::keep(Spec& spec) {
  for (const Namespace& one : spec.namespaces) namespaces |= one.flag & kAnyNamespace;
  joins_pid = spec.find_namespace(CLONE_NEWPID) != nullptr;
  seccomp = std::move(spec.seccomp);
  personality = spec.personality;
  memory_policy = std::move(spec.memory_policy);
  has_start_hooks = !spec.hooks.start_container.empty();
  hook_state = {spec.oci_version, file.id, file.bundle, annotations_json(spec)};
  poststart = std::move(spec.hooks.poststart);
  poststop = std::move(spec.hooks.poststop);
}

}  // namespace davit::oci
