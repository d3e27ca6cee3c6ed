// checkpoint.
#include "shim/oci/checkpoint.h"

#include <sys/stat.h>

#include "shim/oci/log.h"
#include "shim/oci/store.h"

namespace davit::oci_cli {

Result<oci::CheckpointOptions> checkpoint_options(const Call& call) {
  const Options& options = call.options;
  for (const char* name :
       {"lazy-pages", "page-server", "pre-dump", "status-fd", "lsm-profile", "lsm-mount-context"})
    if (options.has(name)) return fail(0, std::string("--") + name + " is not supported");
  oci::CheckpointOptions out;
  out.image_path = absolute(options.has("image-path") ? options.get("image-path") : "checkpoint");
  if (options.has("work-path")) out.work_path = absolute(options.get("work-path"));
  out.parent_path = options.get("parent-path");
  out.leave_running = options.has("leave-running");
  out.tcp_established = options.has("tcp-established");
  out.external_unix_sockets = options.has("ext-unix-sk");
  out.shell_job = options.has("shell-job");
  out.file_locks = options.has("file-locks");
  for (const std::string& name : options.all("empty-ns")) {
    if (name != "network") return fail(0, "--empty-ns " + name + " is not supported");
    out.empty_network = true;
  }
  return out;
}

Result<int> checkpoint_command(const Call& call) {
  DAVIT_ASSIGN(oci::CheckpointOptions options, checkpoint_options(call));
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
  if (options.leave_running) return 0;
  // As runc: what has been saved is gone.
  auto destroyed = container->destroy();
  for (const std::string& warning : container->warnings()) log_warning(warning);
  DAVIT_TRY(destroyed);
  DAVIT_TRY(entry.remove());
  return 0;
}

}  // namespace davit::oci_cli
