#include "shim/task/options.h"

namespace davit::shim {

namespace {

// Options that clients send whatever the runtime is, and that ask nothing of this one. Others mean
// that the caller takes the shim for something else; the words are containerd's.
Result<> check_foreign(const std::string& type) {
  for (const char* known : {"", "runtimeoptions.v1.Options", "containerd.runtimeoptions.v1.Options",
                            "containerd.runc.v1.CheckpointOptions"}) {
    if (type == known) return {};
  }
  return fail(0, "type with url " + type + ": not found");
}

}  // namespace

Result<> apply_options(const wire::Any& options, oci::CreateOptions& create, IoContext& io,
                       RuntimeOptions& own) {
  if (options.type_url != "containerd.runc.v1.Options") return check_foreign(options.type_url);
  wire::RuncOptions runc;
  if (!wire::decode(options.value, runc)) return fail(EINVAL, "runtime options: malformed");
  const std::string& binary = runc.binary_name;
  // runc's name alone is what clients say who want no special one.
  if (!binary.empty() && binary != "runc" && binary != "davit-oci") {
    const std::string root = runc.root.empty() ? "" : runc.root + '/' + io.namespace_;
    own.other = RuntimeChoice{binary, root, runc.systemd_cgroup};
  }
  create.systemd_cgroup = runc.systemd_cgroup;
  create.no_pivot = runc.no_pivot_root;
  create.no_new_keyring = runc.no_new_keyring;
  own.criu_work = runc.criu_work_path;
  io.uid = runc.io_uid;
  io.gid = runc.io_gid;
  return {};
}

Result<oci::CheckpointOptions> checkpoint_options(const wire::CheckpointTaskRequest& request) {
  wire::CheckpointOptions asked;
  const std::string& type = request.options.type_url;
  if (type == "containerd.runc.v1.CheckpointOptions") {
    if (!wire::decode(request.options.value, asked)) {
      return fail(EINVAL, "checkpoint options: malformed");
    }
  } else if (!type.empty()) {
    return fail(0, "type with url " + type + ": not found");
  }
  oci::CheckpointOptions out;
  out.image_path = request.path;
  out.work_path = asked.work_path;
  out.parent_path = asked.parent_path;
  out.leave_running = !asked.exit;
  out.tcp_established = asked.open_tcp;
  out.external_unix_sockets = asked.external_unix_sockets;
  out.shell_job = asked.terminal;
  out.file_locks = asked.file_locks;
  for (const std::string& kind : asked.empty_namespaces) {
    if (kind != "network") return fail(ENOTSUP, "checkpoint: empty namespace \"" + kind + "\"");
    out.empty_network = true;
  }
  if (!out.image_path.starts_with('/')) return fail(EINVAL, "checkpoint path: must be absolute");
  return out;
}

}  // namespace davit::shim
