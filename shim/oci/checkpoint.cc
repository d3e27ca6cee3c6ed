// checkpoint.
#include "shim/oci/checkpoint.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <limits>

#include "shim/oci/log.h"
#include "shim/oci/store.h"

namespace davit::oci_cli {

namespace {

// ADDRESS:PORT, as runc has it.
Result<> use_page_server(const std::string& text, oci::CheckpointOptions& out) {
  const std::size_t colon = text.rfind(':');
  const auto port = colon == std::string::npos
                        ? std::nullopt
                        : parse_integer(std::string_view(text).substr(colon + 1));
  if (!port || *port < 1 || *port > std::numeric_limits<std::uint16_t>::max())
    return fail(0, "--page-server \"" + text + "\": must be ADDRESS:PORT");
  out.page_server = text.substr(0, colon);
  out.page_server_port = static_cast<std::uint16_t>(*port);
  return {};
}

Result<> read_descriptor(const std::string& text, int& out) {
  const auto number = parse_integer(text);
  if (!number || *number < 3 || ::fcntl(static_cast<int>(*number), F_GETFD) < 0)
    return fail(0, "--status-fd \"" + text + "\": must be an open descriptor above 2");
  out = static_cast<int>(*number);
  return {};
}

}  // namespace

Result<oci::CheckpointOptions> checkpoint_options(const Call& call) {
  const Options& options = call.options;
  oci::CheckpointOptions out;
  out.criu = call.globals.criu;
  out.image_path = absolute(options.has("image-path") ? options.get("image-path") : "checkpoint");
  if (options.has("work-path")) out.work_path = absolute(options.get("work-path"));
  out.parent_path = options.get("parent-path");
  out.leave_running = options.has("leave-running");
  out.tcp_established = options.has("tcp-established");
  out.external_unix_sockets = options.has("ext-unix-sk");
  out.shell_job = options.has("shell-job");
  out.file_locks = options.has("file-locks");
  out.auto_dedup = options.has("auto-dedup");
  out.pre_dump = options.has("pre-dump");
  out.lazy_pages = options.has("lazy-pages");
  out.lsm_profile = options.get("lsm-profile");
  out.lsm_mount_context = options.get("lsm-mount-context");
  if (options.has("page-server")) DAVIT_TRY(use_page_server(options.get("page-server"), out));
  if (options.has("status-fd")) DAVIT_TRY(read_descriptor(options.get("status-fd"), out.status_fd));
  constexpr std::string_view kModes[] = {"", "soft", "full", "strict", "ignore"};
  if (std::ranges::find(kModes, options.get("manage-cgroups-mode")) == std::end(kModes))
    return fail(0, "--manage-cgroups-mode must be soft, full, strict or ignore");
  for (const std::string& name : options.all("empty-ns")) {
    if (name != "network") return fail(0, "--empty-ns " + name + " is not supported");
    out.empty_network = true;
  }
  return out;
}

Result<int> checkpoint_command(const Call& call) {
  DAVIT_ASSIGN(oci::CheckpointOptions options, checkpoint_options(call));
  if (options.lazy_pages && options.page_server_port == 0)
    return fail(0, "--lazy-pages needs --page-server ADDRESS:PORT");
  DAVIT_ASSIGN(Entry entry, Entry::lock(call.globals.root, call.id()));
  DAVIT_ASSIGN(View view, look(call.globals.root, call.id()));
  if (view.status != Status::kRunning && view.status != Status::kPaused)
    return fail(
        0, std::string("Container cannot be checkpointed in ") + name_of(view.status) + " state");
  constexpr mode_t kMode = 0700;
  for (const std::string& path : {options.image_path, options.work_path})
    if (!path.empty() && ::mkdir(path.c_str(), kMode) != 0 && errno != EEXIST)
      return fail_errno("mkdir \"" + path + '"');
  DAVIT_ASSIGN(auto container, oci::Container::load(view.dir));
  DAVIT_TRY(container->checkpoint(options));
  if (options.leave_running || options.pre_dump) return 0;
  // As runc: what has been saved is gone.
  auto destroyed = container->destroy();
  for (const std::string& warning : container->warnings()) log_warning(warning);
  DAVIT_TRY(destroyed);
  DAVIT_TRY(entry.remove());
  return 0;
}

}  // namespace davit::oci_cli
