// create, run, start, restore.
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <optional>

#include "native/kernel/file.h"
#include "native/kernel/process.h"
#include "native/kernel/trace.h"
#include "native/oci/container.h"
#include "native/oci/json.h"
#include "shim/oci/checkpoint.h"
#include "shim/oci/commands.h"
#include "shim/oci/launch.h"
#include "shim/oci/log.h"
#include "shim/oci/store.h"

namespace davit::oci_cli {
namespace {

constexpr std::size_t kLargestConfig = 16 << 20;

Result<std::string> absolute_bundle(const Options& options) {
  std::string bundle = options.has("bundle") ? options.get("bundle") : ".";
  if (::chdir(bundle.c_str()) != 0) return fail_errno("chdir " + bundle);
  char* path = ::realpath(".", nullptr);
  if (path == nullptr) return fail_errno("bundle");
  std::string out = path;
  ::free(path);
  return out;
}

// Before anything is made: whether the terminal that the config asks for can be had.
Result<bool> wants_terminal(const std::string& bundle) {
  std::string path = bundle + "/config.json";
  DAVIT_ASSIGN(std::string text, kernel::read_file(AT_FDCWD, path.c_str(), kLargestConfig));
  // Cheap, as nearly every config has none: parsing is the executor's.
  if (text.find("\"terminal\"") == std::string::npos) return false;
  DAVIT_ASSIGN(oci::json::Document config, oci::json::parse(text));
  DAVIT_ASSIGN(const oci::json::Value* process, oci::json::object(config, "process", {}));
  bool terminal = false;
  if (process != nullptr)
    DAVIT_TRY(oci::json::get(*process, "terminal", oci::json::At{"process"}, terminal));
  return terminal;
}

struct Made {
  Entry entry;
  std::unique_ptr<oci::Container> container;
  Fd console;
};

// What is half made is undone: the process is our child.
void undo(Made& made) {
  (void)made.container->kill(SIGKILL);
  (void)kernel::reap(made.container->pid());
  (void)made.container->destroy();
  (void)made.entry.remove();
}

// With `checkpoint` from there.
Result<Made> make(const Call& call, bool detached, bool startable_by_others,
                  const oci::CheckpointOptions* checkpoint = nullptr) {
  const Options& options = call.options;
  DAVIT_TRY(check_id(call.id()));
  oci::CreateOptions create;
  create.id = call.id();
  DAVIT_ASSIGN(create.bundle, absolute_bundle(options));
  if (::access((create.bundle + "/config.json").c_str(), F_OK) != 0 && errno == ENOENT)
    return fail(0, "JSON specification file config.json not found");
  // Ours, in the foreground, is always there to be copied to.
  if (detached || options.has("console-socket")) {
    DAVIT_ASSIGN(bool terminal, wants_terminal(create.bundle));
    DAVIT_TRY(check_terminal(terminal, detached, options));
  }
  create.stdio = {0, 1, 2};
  create.no_pivot = options.has("no-pivot");
  create.no_new_keyring = options.has("no-new-keyring");
  create.systemd_cgroup = call.globals.systemd_cgroup;
  create.startable_by_others = startable_by_others;
  DAVIT_ASSIGN(create.preserve_fds, passed_descriptors(options, create.more_env));
  Fd console_socket;
  if (options.has("console-socket")) {
    DAVIT_ASSIGN(console_socket, connect_console_socket(options.get("console-socket")));
  }
  Made made;
  DAVIT_ASSIGN(made.entry, Entry::make(call.globals.root, create.id));
  create.state_dir = made.entry.dir();
  trace::mark("state folder made");
  auto container = checkpoint == nullptr ? oci::Container::create(create)
                                         : oci::Container::restore(create, *checkpoint);
  if (!container) {
    (void)made.entry.remove();
    return wrap("unable to start container process", std::move(container).error());
  }
  made.container = std::move(*container);
  for (const std::string& warning : made.container->warnings()) log_warning(warning);
  made.console = made.container->take_console();
  auto finish = [&]() -> Result<> {
    if (console_socket) DAVIT_TRY(send_console(console_socket.get(), made.console.get()));
    return write_pid_file(options.get("pid-file"), made.container->pid());
  };
  if (auto finished = finish(); !finished) {
    undo(made);
    return std::unexpected(std::move(finished).error());
  }
  return made;
}

// After the process of `run` has been reaped. Somebody else may have deleted it meanwhile.
Result<> clean_up(const Call& call, Made& made) {
  auto entry = Entry::lock(call.globals.root, call.id());
  if (!entry) return {};
  std::size_t told = made.container->warnings().size();
  auto destroyed = made.container->destroy();
  for (std::size_t i = told; i < made.container->warnings().size(); i++)
    log_warning(made.container->warnings()[i]);
  DAVIT_TRY(destroyed);
  return entry->remove();
}

Result<int> run(const Call& call, const oci::CheckpointOptions* checkpoint) {
  bool detached = call.options.has("detach");
  std::optional<Foreground> foreground;
  if (!detached) foreground.emplace(!call.options.has("no-subreaper"));
  DAVIT_ASSIGN(Made made, make(call, detached, false, checkpoint));
  if (auto started = made.container->start(); !started) {
    undo(made);
    return wrap("unable to start container process", std::move(started).error());
  }
  if (detached) return 0;
  made.entry.unlock();
  DAVIT_ASSIGN(int code, foreground->attend(made.container->pid(), std::move(made.console)));
  trace::mark("program ended");
  if (!call.options.has("keep")) DAVIT_TRY(clean_up(call, made));
  trace::mark("cleaned up");
  return code;
}

}  // namespace

Result<int> create_command(const Call& call) {
  DAVIT_TRY(make(call, true, true));
  return 0;
}

Result<int> run_command(const Call& call) {
  return run(call, nullptr);
}

Result<int> restore_command(const Call& call) {
  DAVIT_ASSIGN(oci::CheckpointOptions checkpoint, checkpoint_options(call));
  checkpoint.may_have_parent = true;
  return run(call, &checkpoint);
}

Result<int> start_command(const Call& call) {
  DAVIT_ASSIGN(Entry entry, Entry::lock(call.globals.root, call.id()));
  DAVIT_ASSIGN(View view, look(call.globals.root, call.id()));
  if (view.status == Status::kRunning) return fail(0, "cannot start an already running container");
  if (view.status == Status::kPaused)
    return fail(0, "cannot start a container in the paused state");
  if (view.status == Status::kStopped) return fail(0, "cannot start a container that has stopped");
  DAVIT_ASSIGN(auto container, oci::Container::load(entry.dir()));
  DAVIT_TRY(container->start());
  return 0;
}

}  // namespace davit::oci_cli
