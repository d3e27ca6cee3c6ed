#include "native/oci/container.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "native/kernel/file.h"
#include "native/kernel/process.h"
#include "native/kernel/sealed_self.h"
#include "native/kernel/trace.h"
#include "native/oci/cgroup/cgroup.h"
#include "native/oci/cgroup/oom.h"
#include "native/oci/channel.h"
#include "native/oci/container_state.h"
#include "native/oci/exec.h"
#include "native/oci/hooks.h"
#include "native/oci/json_text.h"
#include "native/oci/launch.h"
#include "native/oci/namespaces.h"
#include "native/oci/net_devices.h"
#include "native/oci/seccomp_listener.h"
#include "native/oci/start_socket.h"
#include "native/oci/state_file.h"

namespace davit::oci {

namespace {

// Init waits for this before it does anything of the container's.
Result<> let_in(const Cgroup& cgroup, int socket) {
  DAVIT_ASSIGN(Cgroup::Entrance entrance, cgroup.entrance());
  std::vector<int> files;
  for (const Fd& tasks : entrance.task_files) files.push_back(tasks.get());
  auto told = kernel::send_message(socket, kJoin, {}, files);
  // When it has died, it has said why: serving it tells.
  if (!told && told.error().code != EPIPE) return told;
  return {};
}

}  // namespace

Container::Container(std::unique_ptr<State> state) : state_(std::move(state)) {}
Container::~Container() = default;

Result<std::unique_ptr<Container>> Container::create(const CreateOptions& options) {
  std::string config = config_path(options.bundle);
  DAVIT_ASSIGN(std::string text, read_config(config));
  DAVIT_ASSIGN(Spec spec, parse_config(config, text));
  trace::mark("config.json parsed");
  spec.process.env.insert(spec.process.env.end(), options.more_env.begin(), options.more_env.end());
  DAVIT_ASSIGN(Namespaces namespaces, open_namespaces(spec));
  DAVIT_ASSIGN(Sources sources, open_sources(spec, options.bundle, namespaces));
  trace::mark("sources of mounts opened");
  auto state = std::make_unique<State>();
  state->options = options;
  state->options.stdio = {};
  state->state_dir = options.state_dir.empty() ? options.bundle : options.state_dir;
  state->file = {options.id, options.bundle, -1, 0, {}, options.no_new_keyring};
  state->hook_state = {spec.oci_version, options.id, options.bundle, annotations_json(spec)};
  if (state->state_dir != options.bundle) DAVIT_TRY(keep_spec(state->state_dir, text));
  Fd listener;
  if (options.startable_by_others) {
    DAVIT_ASSIGN(listener, listen_for_start(state->state_dir));
  }
  DAVIT_ASSIGN(std::optional<Scope> scope, state->begin_cgroup(spec));

  bool hooks_may_run = false;
  auto launch = [&]() -> Result<> {
    DAVIT_ASSIGN(Fd clone_target, state->cgroup.clone_target());
    DAVIT_ASSIGN(auto ends, kernel::message_pair());
    InitPlan plan{
        spec,           options, namespaces, sources, state->file.cgroups, ends.second.get(),
        listener.get(), false};
    DAVIT_ASSIGN(Starting starting,
                 clone_init(plan, std::move(ends.first), clone_target.get(), options.deadline_ms));
    ends.second.reset();
    trace::mark("init cloned");
    DAVIT_TRY(state->cgroup.complete(spec.resources));
    DAVIT_TRY(let_in(state->cgroup, starting.socket.get()));
    trace::mark("cgroup made");
    state->file.pid = starting.pid();
    if (spec.rdt) {
      DAVIT_ASSIGN(state->file.rdt, make_rdt(*spec.rdt, options.id));
      DAVIT_TRY(join_rdt(state->file.rdt, starting.pid()));
    }
    DAVIT_ASSIGN(state->file.start_time, kernel::start_time(starting.pid()));
    DAVIT_TRY(write_state(state->state_dir, state->file));
    trace::mark("state written");
    kernel::let_go_of_seal();  // waits while init works
    DAVIT_TRY(move_net_devices(spec, namespaces, starting.pid()));
    hooks_may_run = true;
    DAVIT_TRY(starting.serve(
        {&spec, &state->hook_state, spec.seccomp ? &*spec.seccomp : nullptr, "creating"},
        options.deadline_ms));
    if (options.startable_by_others) DAVIT_TRY(kernel::send_message(starting.socket.get(), kGo));
    state->console = std::move(starting.console);
    state->warnings = std::move(spec.resources.warnings);
    std::move(sources.warnings.begin(), sources.warnings.end(),
              std::back_inserter(state->warnings));
    std::move(starting.warnings.begin(), starting.warnings.end(),
              std::back_inserter(state->warnings));
    state->socket = std::move(starting.socket);
    state->pidfd = starting.release().pidfd;
    scope.reset();  // init is inside
    return {};
  };
  if (auto launched = launch(); !launched) {
    scope.reset();
    // What the failed start has left; its own error is the one to report.
    (void)state->cgroup.kill(SIGKILL);
    (void)state->cgroup.remove();
    (void)remove_rdt(state->file.rdt);
    // Hooks that have run are owed their counterparts.
    if (hooks_may_run)
      run_poststop(spec.hooks.poststop, state->hook_state.json("stopped", 0), state->warnings);
    (void)remove_state(state->state_dir);
    return std::unexpected(std::move(launched).error());
  }
  trace::mark("init ready");
  state->keep(spec);
  return std::unique_ptr<Container>(new Container(std::move(state)));
}

Result<std::unique_ptr<Container>> Container::load(const std::string& state_dir) {
  auto state = std::make_unique<State>();
  state->state_dir = state_dir;
  DAVIT_ASSIGN(state->file, read_state(state_dir));
  state->options.id = state->file.id;
  state->options.bundle = state->file.bundle;
  state->options.no_new_keyring = state->file.no_new_keyring;
  state->cgroup = Cgroup::reopen(state->file.cgroups, state->file.systemd_unit);
  DAVIT_ASSIGN(Spec spec, read_kept_spec(state->file, state_dir));
  state->keep(spec);
  if (auto pidfd = open_init(state->file)) state->pidfd = std::move(*pidfd);
  return std::unique_ptr<Container>(new Container(std::move(state)));
}

pid_t Container::pid() const {
  return state_->file.pid;
}
int Container::pidfd() const {
  return state_->pidfd.get();
}
Fd Container::take_console() {
  return std::move(state_->console);
}
const std::string& Container::bundle() const {
  return state_->file.bundle;
}
const std::vector<std::string>& Container::warnings() const {
  return state_->warnings;
}

Result<> Container::start() {
  if (state_->restored) {
    state_->restored = false;
    DAVIT_TRY(kill_all(SIGCONT));
    return run_hooks(state_->poststart, "poststart", state_->hook_state.json("running", pid()));
  }
  if (!state_->socket) {
    DAVIT_ASSIGN(state_->socket, connect_to_start(state_->state_dir));
  }
  Fd socket = std::move(state_->socket);
  std::string text = state_->has_start_hooks ? state_->hook_state.json("created", pid()) : "";
  auto started = [&]() -> Result<> {
    DAVIT_TRY(kernel::send_message(socket.get(), kStart, text));
    auto receive = [&] {
      return kernel::receive_message(socket.get(), state_->options.deadline_ms);
    };
    DAVIT_ASSIGN(kernel::Message message, receive());
    if (message.kind == kListener && state_->seccomp) {
      DAVIT_TRY(hand_over_listener({state_->pidfd.get(), pid()}, message.text, *state_->seccomp,
                                   state_->hook_state, "created"));
      DAVIT_TRY(kernel::send_message(socket.get(), kGo));
      DAVIT_ASSIGN(message, receive());
    }
    if (message.kind == kFailed) return std::unexpected(failure_of(message.text));
    if (message.kind != kEnded) return fail(EPROTO, "init sent something unknown");
    trace::mark("program began");
    return run_hooks(state_->poststart, "poststart", state_->hook_state.json("running", pid()));
  }();
  if (!started) (void)kill(SIGKILL);
  return started;
}

Result<Process> Container::exec(std::string_view process, const Stdio& stdio,
                                const ExecOptions& options) {
  DAVIT_ASSIGN(ProcessSpec spec, parse_process(process));
  if (!state_->pidfd) return fail(ESRCH, "container \"" + state_->file.id + "\" is not running");
  // Its process would be frozen before it could say anything.
  if (!options.even_paused && state_->cgroup.frozen().value_or(false))
    return fail(0, "cannot exec in a paused container");
  Fd root;
  if ((state_->namespaces & CLONE_NEWNS) == 0) {
    // The process behind the number is the one of the descriptor as long as that says it lives.
    std::string path = "/proc/" + std::to_string(state_->file.pid) + "/root";
    DAVIT_ASSIGN(root, kernel::open_at(AT_FDCWD, path.c_str(), O_PATH | O_DIRECTORY));
    DAVIT_TRY(kernel::signal_pidfd(state_->pidfd.get(), 0));
  }
  ExecPlan plan{spec,
                nullptr,
                &state_->hook_state,
                stdio,
                state_->pidfd.get(),
                root.get(),
                state_->namespaces,
                state_->joins_pid,
                state_->options.no_new_keyring,
                state_->personality,
                state_->memory_policy,
                state_->file.id,
                options.preserve_fds,
                state_->options.deadline_ms};
  if (state_->seccomp && !state_->seccomp->empty()) plan.seccomp = &*state_->seccomp;
  plan.rdt = &state_->file.rdt;
  DAVIT_ASSIGN(Cgroup cgroup, state_->cgroup.below(options.cgroups));
  DAVIT_ASSIGN(Cgroup::Entrance entrance, cgroup.entrance());
  auto started = start_exec(plan, std::move(entrance));
  if (started || started.error().code != EBUSY) return started;
  auto with_init = cgroup.open_below_with(pid());
  if (!with_init) return started;
  DAVIT_ASSIGN(entrance, cgroup.entrance());
  entrance.clone_target = std::move(*with_init);
  return start_exec(plan, std::move(entrance));
}

Result<> Container::kill(int signal) {
  if (!state_->pidfd) return fail(ESRCH, "container \"" + state_->file.id + "\" is not running");
  DAVIT_TRY(kernel::signal_pidfd(state_->pidfd.get(), signal));
  // v1 holds a frozen process back even from dying.
  if (signal == SIGKILL && !state_->cgroup.unified() && state_->cgroup.frozen().value_or(false))
    return state_->cgroup.freeze(false);
  return {};
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

Result<> Container::update(std::string_view resources) {
  DAVIT_ASSIGN(Resources parsed, parse_resources(resources));
  return state_->cgroup.update(parsed);
}

Result<> Container::update_rdt(std::string_view l3_cache, std::string_view mem_bandwidth) {
  return oci::update_rdt(state_->file.rdt, l3_cache, mem_bandwidth);
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
  auto note = [&](Result<> step) {
    if (first && !step) first = std::move(step);
  };
  state_->socket.reset();  // ends an init that was never started
  auto left = state_->cgroup.pids();
  if (left && !left->empty()) note(state_->cgroup.kill(SIGKILL));
  note(state_->cgroup.remove());
  note(remove_rdt(state_->file.rdt));
  trace::mark("cgroup removed");
  run_poststop(state_->poststop, state_->hook_state.json("stopped", 0), state_->warnings);
  note(remove_state(state_->state_dir));
  return first;
}

namespace {

Result<> remove_unstated_cgroup(const std::string& bundle, const std::string& state_dir) {
  std::string path = state_dir == bundle ? config_path(bundle) : state_dir + '/' + kKeptSpec;
  auto text = read_config(path);
  if (!text) return {};  // nothing can have been made of it
  auto spec = parse_config(path, *text);
  if (!spec) return {};
  DAVIT_ASSIGN(Cgroup cgroup,
               Cgroup::find(spec->cgroups_path, state_dir.substr(state_dir.rfind('/') + 1)));
  // An init whose creator has died ends by itself.
  constexpr int kLooks = 50, kPauseUs = 10'000;
  for (int i = 0; i < kLooks; ++i) {
    auto pids = cgroup.pids();
    if (!pids || pids->empty()) return cgroup.remove();
    ::usleep(kPauseUs);
  }
  return {};
}

}  // namespace

Result<> destroy_left_behind(const std::string& bundle, const std::string& state_dir) {
  const std::string& dir = state_dir.empty() ? bundle : state_dir;
  if (::access((dir + "/state.json").c_str(), F_OK) != 0)
    return remove_unstated_cgroup(bundle, dir);
  auto container = Container::load(dir);
  if (container) {
    if ((*container)->kill(SIGKILL)) {
      (void)(*container)->kill_all(SIGKILL);
      // Not our child: its pidfd tells when it is gone.
      constexpr int kPatienceMs = 5000;
      struct pollfd item = {(*container)->pidfd(), POLLIN, 0};
      (void)::poll(&item, 1, kPatienceMs);
    }
    return (*container)->destroy();
  }
  // Without a readable config.json there are no hooks to run, but all else can be done.
  DAVIT_ASSIGN(StateFile state, read_state(dir));
  if (auto init = open_init(state)) (void)kernel::signal_pidfd(init->get(), SIGKILL);
  Cgroup cgroup = Cgroup::reopen(state.cgroups, state.systemd_unit);
  DAVIT_TRY(cgroup.kill(SIGKILL));
  DAVIT_TRY(cgroup.remove());
  DAVIT_TRY(remove_rdt(state.rdt));
  return remove_state(dir);
}

}  // namespace davit::oci
