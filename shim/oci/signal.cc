// kill, delete, pause, resume.
#include <signal.h>

#include "native/kernel/process.h"
#include "native/oci/container.h"
#include "shim/oci/commands.h"
#include "shim/oci/log.h"
#include "shim/oci/store.h"

namespace davit::oci_cli {
namespace {

constexpr char kNotRunning[] = "container not running";
constexpr int kPatienceMs = 10'000;

Result<> destroy(Entry& entry) {
  auto container = oci::Container::load(entry.dir());
  if (container) {
    auto destroyed = (*container)->destroy();
    for (const std::string& warning : (*container)->warnings()) log_warning(warning);
    DAVIT_TRY(destroyed);
  } else {
    // Its config cannot be read any more: what needs none is done all the same.
    DAVIT_TRY(oci::destroy_left_behind(entry.dir(), entry.dir()));
  }
  return entry.remove();
}

Result<> end(const View& view) {
  DAVIT_ASSIGN(auto container, oci::Container::load(view.dir));
  // Without a pid namespace of its own the others do not die with init.
  (void)container->kill_all(SIGKILL);
  auto killed = container->kill(SIGKILL);
  if (!killed && killed.error().code != ESRCH) return killed;
  if (!wait_for_end(view.pidfd.get(), kPatienceMs)) return fail(0, "container init still running");
  return {};
}

}  // namespace

Result<int> kill_command(const Call& call) {
  DAVIT_ASSIGN(int signal, parse_signal(call.args.size() > 1 ? call.args[1] : "SIGTERM"));
  DAVIT_ASSIGN(View view, look(call.globals.root, call.id()));
  bool all = call.options.has("all");
  if (view.status == Status::kStopped && !all) return fail(0, kNotRunning);
  DAVIT_ASSIGN(auto container, oci::Container::load(view.dir));
  auto sent = all ? container->kill_all(signal) : container->kill(signal);
  if (!sent && sent.error().code == ESRCH) return all ? Result<int>(0) : fail(0, kNotRunning);
  if (!sent) return wrap("unable to signal init", std::move(sent).error());
  return 0;
}

Result<int> delete_command(const Call& call) {
  bool force = call.options.has("force");
  auto entry = Entry::lock(call.globals.root, call.id());
  if (!entry && force && entry.error().message == kNotThere) return 0;
  if (!entry) return std::unexpected(std::move(entry).error());
  auto view = look(call.globals.root, call.id());
  if (!view) {
    // Half made, by a creator that is dead: its lock is ours.
    if (view.error().message != kNotThere) return std::unexpected(std::move(view).error());
    DAVIT_TRY(entry->remove_half_made());
    DAVIT_TRY(entry->remove());
    return force ? Result<int>(0) : fail(0, kNotThere);
  }
  if (view->status != Status::kStopped) {
    if (!force && view->status != Status::kCreated)
      return fail(0, "cannot delete container " + call.id() +
                         " that is not stopped: " + name_of(view->status));
    DAVIT_TRY(end(*view));
  }
  DAVIT_TRY(destroy(*entry));
  return 0;
}

Result<int> pause_command(const Call& call) {
  DAVIT_ASSIGN(View view, look(call.globals.root, call.id()));
  if (view.status != Status::kRunning && view.status != Status::kCreated)
    return fail(0, kNotRunning);
  DAVIT_ASSIGN(auto container, oci::Container::load(view.dir));
  DAVIT_TRY(container->pause());
  return 0;
}

Result<int> resume_command(const Call& call) {
  DAVIT_ASSIGN(View view, look(call.globals.root, call.id()));
  if (view.status != Status::kPaused) return fail(0, "container not paused");
  DAVIT_ASSIGN(auto container, oci::Container::load(view.dir));
  DAVIT_TRY(container->resume());
  return 0;
}

}  // namespace davit::oci_cli
