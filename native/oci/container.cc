#include "native/oci/container.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include "native/kernel/file.h"
#include "native/kernel/process.h"
#include "native/oci/cgroup/cgroup.h"
#include "native/oci/cgroup/oom.h"
#include "native/oci/channel.h"
#include "native/oci/hooks.h"
#include "native/oci/id_maps.h"
#include "native/oci/init.h"
#include "native/oci/pid_namespace.h"
#include "native/oci/spec.h"
#include "native/oci/state.h"
#include "native/oci/time_namespace.h"

namespace davit::oci {

struct Container::State {
  CreateOptions options;
  Spec spec;
  Cgroup cgroup;
  pid_t pid = -1;
  Fd pidfd, console, channel;
  std::vector<std::string> warnings;

  const std::string& dir() const {
    return options.state_dir.empty() ? options.bundle : options.state_dir;
  }
};

namespace {

constexpr std::size_t kMaxConfig = 16 << 20;

Result<Spec> read_spec(const std::string& bundle) {
  DAVIT_ASSIGN(std::string text,
               kernel::read_file(AT_FDCWD, (bundle + "/config.json").c_str(), kMaxConfig));
  auto spec = parse_spec(text);
  if (!spec) return wrap("config.json", spec.error());
  return spec;
}

std::string rootfs_path(const Spec& spec, const std::string& bundle) {
  return spec.root_path.starts_with('/') ? spec.root_path : bundle + "/" + spec.root_path;
}

// The namespaces that init is born into. A cgroup namespace is made later, from inside the cgroup.
std::uint64_t birth_flags(const Spec& spec) {
  std::uint64_t flags = 0;
  for (const Namespace& one : spec.namespaces)
    if (one.path.empty() && one.flag != CLONE_NEWCGROUP && one.flag != CLONE_NEWTIME)
      flags |= static_cast<std::uint64_t>(one.flag);
  return flags;
}

Result<> check_spec(const Spec& spec, const CreateOptions& options) {
  if (options.startable_by_others)
    return fail(ENOSYS, "starting a container from another process is not supported yet");
  if (spec.seccomp && spec.seccomp->notify)
    return fail(ENOSYS, "linux.seccomp: SCMP_ACT_NOTIFY is not supported yet");
  const Namespace* user = spec.find_namespace(CLONE_NEWUSER);
  if (user != nullptr && !user->path.empty())
    return fail(ENOSYS, "linux.namespaces: joining a user namespace is not supported yet");
  if (user != nullptr && (spec.uid_mappings.empty() || spec.gid_mappings.empty()))
    return fail(EINVAL, "linux.uidMappings, linux.gidMappings: a user namespace needs both");
  if (user == nullptr && !(spec.uid_mappings.empty() && spec.gid_mappings.empty()))
    return fail(EINVAL, "linux.uidMappings: given without a user namespace");
  return {};
}

void kill_and_reap(const kernel::Child& child) {
  (void)kernel::signal_pidfd(child.pidfd.get(), SIGKILL);
  (void)kernel::reap(child.pid);
}

}  // namespace

Container::Container(std::unique_ptr<State> state) : state_(std::move(state)) {}
Container::~Container() = default;

Result<std::unique_ptr<Container>> Container::create(const CreateOptions& options) {
  auto state = std::make_unique<State>();
  state->options = options;
  DAVIT_ASSIGN(state->spec, read_spec(options.bundle));
  const Spec& spec = state->spec;
  DAVIT_TRY(check_spec(spec, options));
  const std::string rootfs = rootfs_path(spec, options.bundle);
  DAVIT_ASSIGN(auto joined, open_namespaces(spec));
  DAVIT_ASSIGN(auto channel, kernel::message_pair());
  DAVIT_ASSIGN(state->cgroup, Cgroup::create(spec.cgroups_path, options.id, spec.resources));
  auto undo_cgroup = [&](Error error) {
    (void)state->cgroup.remove();
    return std::unexpected(std::move(error));
  };

  auto child = [&]() -> Result<kernel::Child> {
    DAVIT_ASSIGN(PidNamespaceOfChildren pids, PidNamespaceOfChildren::enter(joined));
    DAVIT_ASSIGN(TimeNamespaceOfChildren time, TimeNamespaceOfChildren::enter(spec));
    return kernel::clone_process(birth_flags(spec), state->cgroup.clone_target());
  }();
  if (!child) return undo_cgroup(child.error());
  if (child->pid == 0) {
    channel.first.reset();
    run_init({spec, options, state->cgroup, rootfs, joined, channel.second.get()});
  }
  channel.second.reset();
  state->pid = child->pid;

  Heard heard;
  auto ready = [&]() -> Result<> {
    int parent = channel.first.get();
    if (spec.new_namespace(CLONE_NEWUSER)) {
      DAVIT_TRY(write_id_maps(child->pid, spec.uid_mappings, spec.gid_mappings));
      DAVIT_TRY(kernel::send_message(parent, kMaps));
    }
    DAVIT_TRY(state->cgroup.join(child->pid, state->cgroup.clone_target() >= 0));
    // A child that has failed meanwhile has said why; that it does not listen says nothing.
    (void)kernel::send_message(parent, kJoined);
    SavedState saved{options.id, options.bundle,         child->pid,
                     0,          options.no_new_keyring, state->cgroup.paths()};
    DAVIT_ASSIGN(saved.start_time, kernel::start_time(child->pid));
    DAVIT_TRY(save_state(state->dir(), saved));
    return listen(parent, kReady, options.deadline_ms, heard, [&]() -> Result<> {
      std::string text = state_json(spec, options.id, "creating", child->pid, options.bundle);
      DAVIT_TRY(run_hooks(spec.hooks.prestart, "prestart", text));
      return run_hooks(spec.hooks.create_runtime, "createRuntime", text);
    });
  }();
  if (!ready) {
    kill_and_reap(*child);
    remove_state(state->dir());
    // Hooks that have run are owed their counterparts.
    std::string text = state_json(spec, options.id, "stopped", 0, options.bundle);
    (void)run_hooks(spec.hooks.poststop, "poststop", text);
    return undo_cgroup(ready.error());
  }
  state->pidfd = std::move(child->pidfd);
  state->channel = std::move(channel.first);
  state->console = std::move(heard.console);
  state->warnings = std::move(heard.warnings);
  return std::unique_ptr<Container>(new Container(std::move(state)));
}

Result<std::unique_ptr<Container>> Container::load(const std::string& state_dir) {
  DAVIT_ASSIGN(SavedState saved, load_state(state_dir));
  auto state = std::make_unique<State>();
  state->options.id = saved.id;
  state->options.bundle = saved.bundle;
  state->options.state_dir = state_dir;
  state->options.no_new_keyring = saved.no_new_keyring;
  DAVIT_ASSIGN(state->spec, read_spec(saved.bundle));
  state->cgroup = Cgroup::reopen(saved.cgroups);
  // The pid may be somebody else's by now.
  auto began = kernel::start_time(saved.pid);
  if (began && *began == saved.start_time) {
    state->pid = saved.pid;
    if (auto pidfd = kernel::open_pidfd(saved.pid)) state->pidfd = std::move(*pidfd);
  }
  return std::unique_ptr<Container>(new Container(std::move(state)));
}

pid_t Container::pid() const {
  return state_->pid;
}
int Container::pidfd() const {
  return state_->pidfd.get();
}
Fd Container::take_console() {
  return std::move(state_->console);
}
const std::string& Container::bundle() const {
  return state_->options.bundle;
}
const std::vector<std::string>& Container::warnings() const {
  return state_->warnings;
}

Result<> Container::start() {
  if (!state_->channel) return fail(EINVAL, "the container has been started");
  Fd channel = std::move(state_->channel);
  Heard heard;
  auto started = [&]() -> Result<> {
    DAVIT_TRY(kernel::send_message(channel.get(), kStart));
    return listen(channel.get(), 0, state_->options.deadline_ms, heard, [] { return Result<>(); });
  }();
  if (!started) {
    (void)kernel::signal_pidfd(state_->pidfd.get(), SIGKILL);
    return started;
  }
  const Spec& spec = state_->spec;
  if (spec.hooks.poststart.empty()) return {};
  auto hooked = run_hooks(
      spec.hooks.poststart, "poststart",
      state_json(spec, state_->options.id, "running", state_->pid, state_->options.bundle));
  if (!hooked) (void)kernel::signal_pidfd(state_->pidfd.get(), SIGKILL);
  return hooked;
}

Result<Process> Container::exec(std::string_view text, const Stdio& stdio) {
  if (!state_->pidfd) return fail(ESRCH, "the container's init is not running");
  DAVIT_ASSIGN(ProcessSpec process, parse_process(text));
  DAVIT_ASSIGN(auto channel, kernel::message_pair());
  Fd root;
  if (state_->spec.find_namespace(CLONE_NEWNS) == nullptr) {
    std::string path = "/proc/" + std::to_string(state_->pid) + "/root";
    DAVIT_ASSIGN(root, kernel::open_at(AT_FDCWD, path.c_str(), O_PATH | O_DIRECTORY));
  }
  const std::string keyring = state_->options.no_new_keyring ? "" : "_ses." + state_->options.id;
  const bool own_pids = state_->spec.find_namespace(CLONE_NEWPID) != nullptr;
  auto child = [&]() -> Result<kernel::Child> {
    DAVIT_ASSIGN(PidNamespaceOfChildren pids,
                 PidNamespaceOfChildren::enter(own_pids ? state_->pidfd.get() : -1));
    return kernel::clone_process(0, state_->cgroup.clone_target());
  }();
  if (!child) return std::unexpected(child.error());
  if (child->pid == 0) {
    channel.first.reset();
    run_exec({state_->spec, process, stdio, state_->pidfd.get(), root.get(), keyring,
              channel.second.get()});
  }
  channel.second.reset();
  Heard heard;
  auto done = [&]() -> Result<> {
    DAVIT_TRY(state_->cgroup.join(child->pid, state_->cgroup.clone_target() >= 0));
    (void)kernel::send_message(channel.first.get(), kJoined);
    return listen(channel.first.get(), 0, state_->options.deadline_ms, heard,
                  [] { return Result<>(); });
  }();
  if (!done) {
    kill_and_reap(*child);
    return std::unexpected(done.error());
  }
  return Process{child->pid, std::move(child->pidfd), std::move(heard.console),
                 std::move(heard.warnings)};
}

Result<> Container::kill(int signal) {
  if (!state_->pidfd) return fail(ESRCH, "send signal " + std::to_string(signal));
  return kernel::signal_pidfd(state_->pidfd.get(), signal);
}

Result<> Container::kill_all(int signal) {
  return state_->cgroup.kill(signal);
}
Result<> Container::pause() {
  return state_->cgroup.freeze(true);
}
Result<> Container::resume() {
  return state_->cgroup.freeze(false);
}
Result<bool> Container::paused() const {
  return state_->cgroup.frozen();
}

Result<> Container::update(std::string_view text) {
  DAVIT_ASSIGN(Resources resources, parse_resources(text));
  return state_->cgroup.update(resources);
}

Result<std::vector<pid_t>> Container::pids() const {
  return state_->cgroup.pids();
}
Result<Stats> Container::stats() const {
  return state_->cgroup.stats();
}
Result<OomWatch> Container::oom_watch() const {
  return watch_oom(state_->cgroup);
}

Result<> Container::destroy() {
  Result<> first;
  auto note = [&](Result<> result) {
    if (first && !result) first = std::move(result);
  };
  auto left = state_->cgroup.pids();
  if (left && !left->empty()) note(state_->cgroup.kill(SIGKILL));
  note(state_->cgroup.remove());
  const Spec& spec = state_->spec;
  if (!spec.hooks.poststop.empty())
    note(run_hooks(spec.hooks.poststop, "poststop",
                   state_json(spec, state_->options.id, "stopped", 0, state_->options.bundle)));
  remove_state(state_->dir());
  return first;
}

Result<> destroy_left_behind(const std::string& bundle, const std::string& state_dir) {
  const std::string& dir = state_dir.empty() ? bundle : state_dir;
  auto container = Container::load(dir);
  if (!container) {
    if (container.error().code == ENOENT) return {};  // its creator came not that far
    return std::unexpected(container.error());
  }
  if ((*container)->pidfd() >= 0) {
    (void)(*container)->kill(SIGKILL);
    // It is not our child: its pidfd tells when it is gone.
    pollfd item{(*container)->pidfd(), POLLIN, 0};
    (void)(*container)->kill_all(SIGKILL);
    constexpr int kPatienceMs = 5000;
    (void)::poll(&item, 1, kPatienceMs);
  }
  return (*container)->destroy();
}

}  // namespace davit::oci
