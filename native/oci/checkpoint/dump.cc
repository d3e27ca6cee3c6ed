#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <set>

#include "native/kernel/file.h"
#include "native/oci/checkpoint/checkpoint.h"
#include "native/oci/json_text.h"
#include "native/oci/mount_options.h"
#include "native/oci/mounts.h"

namespace davit::oci {
namespace {

constexpr std::size_t kLargestMountTable = 16 << 20;

// The file is not on one of the container's own mounts: criu cannot find it again by a path.
Result<std::string> outer_file(pid_t init, int fd) {
  const std::string number = std::to_string(fd), proc = "/proc/" + std::to_string(init);
  struct stat st;
  if (::stat((proc + "/fd/" + number).c_str(), &st) != 0) return fail_errno("stat a stream");
  const bool null = S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3);
  if (!S_ISREG(st.st_mode) && !null) return "";
  DAVIT_ASSIGN(std::string info, kernel::read_file(AT_FDCWD, (proc + "/fdinfo/" + number).c_str()));
  constexpr std::string_view kMount = "mnt_id:";
  std::size_t at = info.find(kMount);
  if (at == std::string::npos) return "";
  const int mount = ::atoi(info.c_str() + at + kMount.size());
  DAVIT_ASSIGN(std::string mounts,
               kernel::read_file(AT_FDCWD, (proc + "/mountinfo").c_str(), kLargestMountTable));
  if (('\n' + mounts).find('\n' + std::to_string(mount) + ' ') != std::string::npos) return "";
  char key[64];
  std::snprintf(key, sizeof key, "file[%x:%llx]", static_cast<unsigned>(mount),
                static_cast<unsigned long long>(st.st_ino));
  return key;
}

// Where the standard streams lead, in the file in which runc keeps it: a restore joins what were
// pipes, or files of the host's, to new ones. The latter are told to criu in `options`.
Result<> write_descriptors(const std::string& dir, pid_t init, pb::Writer& options) {
  std::string text = "[";
  std::set<std::string> told;
  for (int fd = 0; fd < 3; fd++) {
    std::string path = "/proc/" + std::to_string(init) + "/fd/" + std::to_string(fd);
    char target[PATH_MAX];
    ssize_t n = ::readlink(path.c_str(), target, sizeof target);
    std::string stream(target, n < 0 ? 0 : static_cast<std::size_t>(n));
    if (auto outer = outer_file(init, fd); outer && !outer->empty()) {
      if (told.insert(*outer).second) options.bytes(criu_field::kExternal, *outer);
      stream = std::move(*outer);
    }
    text += (fd > 0 ? "," : "") + json::quote(stream);
  }
  DAVIT_ASSIGN(Fd folder, kernel::open_at(AT_FDCWD, dir.c_str(), O_PATH | O_DIRECTORY));
  return kernel::replace_file(folder.get(), "descriptors.json", text + "]\n", 0600);
}

bool is_directory_of(pid_t init, const std::string& path) {
  struct stat st;
  std::string inside = "/proc/" + std::to_string(init) + "/root" + path;
  return ::lstat(inside.c_str(), &st) == 0 && S_ISDIR(st.st_mode);
}

}  // namespace

std::vector<ExternalMount> external_mounts(const Spec& spec, const std::string& bundle,
                                           const Cgroup& cgroup) {
  std::vector<ExternalMount> out;
  for (const Mount& mount : spec.mounts) {
    if (mount.type == "cgroup")
      for (const CgroupFolder& one : cgroup_folders(cgroup.paths()))
        out.push_back({mount.destination + '/' + one.name, one.path});
    auto options = parse_mount_options(mount);
    if (!options || !options->bind) continue;
    bool absolute = mount.source.starts_with('/');
    out.push_back({mount.destination, absolute ? mount.source : bundle + '/' + mount.source});
  }
  for (const std::string& path : spec.masked_paths) out.push_back({path, "/dev/null"});
  return out;
}

pb::Writer common_options(const CheckpointOptions& options) {
  pb::Writer out;
  out.boolean(criu_field::kTcpEstablished, options.tcp_established);
  out.boolean(criu_field::kOuterUnixSockets, options.external_unix_sockets);
  out.boolean(criu_field::kShellJob, options.shell_job);
  out.boolean(criu_field::kFileLocks, options.file_locks);
  out.boolean(criu_field::kAutoDedup, options.auto_dedup);
  out.boolean(criu_field::kLazyPages, options.lazy_pages);
  out.boolean(criu_field::kOrphanTerminals, true);
  if (options.empty_network) out.varint(criu_field::kEmptyNamespaces, CLONE_NEWNET);
  // Their cgroups are the container's: neither saved nor restored.
  out.varint_always(criu_field::kManageCgroups, 0);
  return out;
}

Result<> dump_processes(const CheckpointOptions& options, const Spec& spec, pid_t init,
                        const Cgroup& cgroup) {
  CriuRun run;
  run.work = options.pre_dump ? CriuWork::kPreDump : CriuWork::kDump;
  run.program = options.criu;
  run.images = options.image_path;
  run.log_dir = options.work_path.empty() ? options.image_path : options.work_path;
  run.status = options.status_fd;
  run.deadline_ms = options.lazy_pages ? -1 : kCriuMs;
  for (const std::string* dir : {&run.images, &run.log_dir})
    DAVIT_TRY(kernel::make_dirs(AT_FDCWD, dir->c_str(), 0700));
  run.options = common_options(options);
  DAVIT_TRY(write_descriptors(options.image_path, init, run.options));
  run.options.varint(criu_field::kPid, static_cast<std::uint32_t>(init));
  run.options.boolean(criu_field::kForceIrmap, true);
  run.options.boolean(criu_field::kLeaveRunning, options.leave_running);
  run.options.boolean(criu_field::kTrackMemory, options.pre_dump || !options.parent_path.empty());
  run.options.bytes(criu_field::kParentImages, options.parent_path);
  if (options.page_server_port != 0) {
    pb::Writer server;
    server.bytes(1, options.page_server);
    server.varint(2, options.page_server_port);
    run.options.bytes(criu_field::kPageServer, server.data());
  }
  // Also where it is frozen already.
  run.options.bytes(criu_field::kFreezeCgroup, cgroup.path_of(cgroup.unified() ? "" : "freezer"));
  for (const ExternalMount& mount : external_mounts(spec, "", cgroup))
    if (mount.source != "/dev/null" || !is_directory_of(init, mount.destination))
      run.options.bytes(criu_field::kExternal,
                        "mnt[" + mount.destination + "]:" + mount.destination);
  const Namespace* network = spec.find_namespace(CLONE_NEWNET);
  if (network != nullptr && !network->path.empty()) {
    struct stat st;
    if (::stat(("/proc/" + std::to_string(init) + "/ns/net").c_str(), &st) != 0)
      return fail_errno("stat the network namespace");
    run.options.bytes(criu_field::kExternal,
                      "net[" + std::to_string(st.st_ino) + "]:" + kOuterNetwork);
  }
  const bool was_frozen = cgroup.frozen().value_or(false);
  auto dumped = run_criu(std::move(run));
  // One that was ended in the middle leaves them frozen.
  if (!dumped && !was_frozen) (void)cgroup.freeze(false);
  if (!dumped) return std::unexpected(std::move(dumped).error());
  return {};
}

}  // namespace davit::oci
