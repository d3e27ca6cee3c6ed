#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>

#include "native/kernel/process.h"
#include "native/oci/checkpoint/checkpoint.h"
#include "native/oci/container_state.h"

namespace davit::oci {
namespace {

// What a restore would have to make anew, which criu does not do for us.
Result<> check_restorable(const Spec& spec) {
  for (const Namespace& one : spec.namespaces)
    if (!one.path.empty() && one.flag != CLONE_NEWNET)
      return fail(ENOTSUP, "restore: no namespace but the network's may be one joined by path");
  if (spec.find_namespace(CLONE_NEWNS) == nullptr || spec.find_namespace(CLONE_NEWPID) == nullptr)
    return fail(ENOTSUP, "restore: needs mount and pid namespaces of the container's own");
  return {};
}

}  // namespace

Result<> Container::checkpoint(const CheckpointOptions& options) {
  if (!state_->pidfd) return fail(ESRCH, "container \"" + state_->file.id + "\" is not running");
  DAVIT_ASSIGN(Spec spec, read_kept_spec(state_->file, state_->state_dir));
  DAVIT_TRY(check_restorable(spec));
  return dump_processes(options, spec, pid(), state_->cgroup);
}

Result<std::unique_ptr<Container>> Container::restore(const CreateOptions& options,
                                                      const CheckpointOptions& checkpoint) {
  std::string config = config_path(options.bundle);
  DAVIT_ASSIGN(std::string text, read_config(config));
  DAVIT_ASSIGN(Spec spec, parse_config(config, text));
  DAVIT_TRY(check_restorable(spec));
  auto state = std::make_unique<State>();
  state->options = options;
  state->options.stdio = {};
  state->state_dir = options.state_dir.empty() ? options.bundle : options.state_dir;
  state->file = {options.id, options.bundle, -1, 0, {}, options.no_new_keyring};
  if (state->state_dir != options.bundle) DAVIT_TRY(keep_spec(state->state_dir, text));
  DAVIT_ASSIGN(std::optional<Scope> scope, state->begin_cgroup(spec));
  HookState hook_state{spec.oci_version, options.id, options.bundle, annotations_json(spec)};

  auto launch = [&]() -> Result<> {
    DAVIT_TRY(state->cgroup.complete(spec.resources));
    DAVIT_ASSIGN(CriuAnswer restored,
                 restore_processes({checkpoint, spec, options, state->cgroup, state->state_dir}));
    state->file.pid = restored.pid;
    state->console = std::move(restored.console);
    DAVIT_TRY(verify_restored(spec, options.bundle, restored.pid, state->cgroup));
    DAVIT_ASSIGN(state->pidfd, kernel::open_pidfd(state->file.pid));
    DAVIT_ASSIGN(state->file.start_time, kernel::start_time(state->file.pid));
    if (spec.rdt) {
      DAVIT_ASSIGN(state->file.rdt, make_rdt(*spec.rdt, options.id));
      DAVIT_TRY(join_rdt(state->file.rdt, state->file.pid));
    }
    DAVIT_TRY(write_state(state->state_dir, state->file));
    std::string told = hook_state.json("creating", state->file.pid);
    DAVIT_TRY(run_hooks(spec.hooks.prestart, "prestart", told));
    return run_hooks(spec.hooks.create_runtime, "createRuntime", told);
  };
  auto launched = launch();
  scope.reset();
  if (!launched) {
    (void)state->cgroup.kill(SIGKILL);
    if (state->file.pid > 0) (void)kernel::reap(state->file.pid);
    (void)state->cgroup.remove();
    (void)remove_rdt(state->file.rdt);
    run_poststop(spec.hooks.poststop, hook_state.json("stopped", 0), state->warnings);
    (void)remove_state(state->state_dir);
    return std::unexpected(std::move(launched).error());
  }
  state->keep(spec);
  state->restored = true;
  return std::unique_ptr<Container>(new Container(std::move(state)));
}

}  // namespace davit::oci
