// exec.
#include <fcntl.h>
#include <signal.h>

#include <optional>

#include "native/kernel/file.h"
#include "native/kernel/process.h"
#include "native/oci/container.h"
#include "shim/oci/commands.h"
#include "shim/oci/launch.h"
#include "shim/oci/log.h"
#include "shim/oci/process_json.h"
#include "shim/oci/store.h"

namespace davit::oci_cli {
namespace {

constexpr std::size_t kLargestConfig = 16 << 20;

Result<std::string> process_of(const Call& call, const View& view) {
  if (call.options.has("process"))
    return kernel::read_file(AT_FDCWD, call.options.get("process").c_str(), kLargestConfig);
  std::string path = view.dir + '/' + oci::kKeptSpec;
  DAVIT_ASSIGN(std::string config, kernel::read_file(AT_FDCWD, path.c_str(), kLargestConfig));
  std::vector<std::string> args(call.args.begin() + 1, call.args.end());
  return process_json(config, call.options, args);
}

}  // namespace

Result<int> exec_command(const Call& call) {
  const Options& options = call.options;
  DAVIT_ASSIGN(View view, look(call.globals.root, call.id()));
  if (view.status == Status::kStopped) return fail(0, "cannot exec in a stopped container");
  if (view.status == Status::kPaused && !options.has("ignore-paused"))
    return fail(0, "cannot exec in a paused container (use --ignore-paused to override)");
  DAVIT_ASSIGN(std::string process, process_of(call, view));
  std::vector<std::string> env;
  oci::ExecOptions exec;
  DAVIT_ASSIGN(exec.preserve_fds, passed_descriptors(options, env));
  DAVIT_ASSIGN(process, with_env(process, env));
  exec.even_paused = options.has("ignore-paused");
  exec.cgroups = options.all("cgroup");
  bool detached = options.has("detach");
  DAVIT_ASSIGN(bool terminal, process_has_terminal(process));
  DAVIT_TRY(check_terminal(terminal, detached, options));
  Fd console_socket;
  if (options.has("console-socket")) {
    DAVIT_ASSIGN(console_socket, connect_console_socket(options.get("console-socket")));
  }
  DAVIT_ASSIGN(auto container, oci::Container::load(view.dir));
  std::optional<Foreground> foreground;
  if (!detached) foreground.emplace(false);
  auto started = container->exec(process, {0, 1, 2}, exec);
  if (!started) return wrap("unable to start container process", std::move(started).error());
  for (const std::string& warning : started->warnings) log_warning(warning);
  auto finish = [&]() -> Result<> {
    if (console_socket) DAVIT_TRY(send_console(console_socket.get(), started->console.get()));
    return write_pid_file(options.get("pid-file"), started->pid);
  };
  if (auto finished = finish(); !finished) {
    (void)kernel::signal_pidfd(started->pidfd.get(), SIGKILL);
    (void)kernel::reap(started->pid);
    return std::unexpected(std::move(finished).error());
  }
  if (detached) return 0;
  return foreground->attend(started->pid, std::move(started->console));
}

}  // namespace davit::oci_cli
