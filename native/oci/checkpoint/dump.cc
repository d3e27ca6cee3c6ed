#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "native/kernel/file.h"
#include "native/oci/checkpoint/checkpoint.h"
#include "native/oci/checkpoint/criu.h"
#include "native/oci/json_text.h"
#include "native/oci/mount_options.h"

namespace davit::oci {
namespace {

// Where the standard streams lead, in the file in which runc keeps it: a restore joins what were
// pipes to new ones.
Result<> write_descriptors(const std::string& dir, pid_t init) {
  std::string text = "[";
  for (int fd = 0; fd < 3; fd++) {
    std::string path = "/proc/" + std::to_string(init) + "/fd/" + std::to_string(fd);
    char target[PATH_MAX];
    ssize_t n = ::readlink(path.c_str(), target, sizeof target);
    text += (fd > 0 ? "," : "") +
            json::quote(n < 0 ? "" : std::string(target, static_cast<std::size_t>(n)));
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

std::vector<ExternalMount> external_mounts(const Spec& spec, const std::string& bundle) {
  std::vector<ExternalMount> out;
  for (const Mount& mount : spec.mounts) {
    auto options = parse_mount_options(mount);
    if (!options || !options->bind) continue;
    bool absolute = mount.source.starts_with('/');
    out.push_back({mount.destination, absolute ? mount.source : bundle + '/' + mount.source});
  }
  for (const std::string& path : spec.masked_paths) out.push_back({path, "/dev/null"});
  return out;
}

std::vector<std::string> common_arguments(const CheckpointOptions& options, const char* verb,
                                          const std::string& work_path) {
  std::vector<std::string> args{verb,
                                "--images-dir",
                                options.image_path,
                                "--work-dir",
                                work_path,
                                "--log-file",
                                std::string(verb) + ".log",
                                "-v4",
                                "--manage-cgroups=ignore"};
  if (options.tcp_established) args.push_back("--tcp-established");
  if (options.external_unix_sockets) args.push_back("--ext-unix-sk");
  if (options.shell_job) args.push_back("--shell-job");
  if (options.file_locks) args.push_back("--file-locks");
  if (options.empty_network) args.insert(args.end(), {"--empty-ns", "net"});
  return args;
}

Result<> dump_processes(const CheckpointOptions& options, const Spec& spec, pid_t init,
                        const Cgroup& cgroup, int deadline_ms) {
  if (spec.process.terminal)
    return fail(ENOTSUP, "checkpoint: containers with a terminal cannot be restored");
  const std::string& work = options.work_path.empty() ? options.image_path : options.work_path;
  for (const std::string* dir : {&options.image_path, &work})
    DAVIT_TRY(kernel::make_dirs(AT_FDCWD, dir->c_str(), 0700));
  DAVIT_TRY(write_descriptors(options.image_path, init));
  CriuRun run;
  run.args = common_arguments(options, "dump", work);
  run.args.insert(run.args.end(), {"--tree", std::to_string(init), "--force-irmap"});
  if (options.leave_running) run.args.push_back("--leave-running");
  if (!options.parent_path.empty())
    run.args.insert(run.args.end(), {"--track-mem", "--prev-images-dir", options.parent_path});
  // Also where it is frozen already.
  const std::string& freezer = cgroup.path_of(cgroup.unified() ? "" : "freezer");
  if (!freezer.empty()) run.args.insert(run.args.end(), {"--freeze-cgroup", freezer});
  for (const ExternalMount& mount : external_mounts(spec, ""))
    if (mount.source != "/dev/null" || !is_directory_of(init, mount.destination))
      run.args.insert(run.args.end(),
                      {"--external", "mnt[" + mount.destination + "]:" + mount.destination});
  run.log = work + "/dump.log";
  run.deadline_ms = deadline_ms;
  return run_criu(run);
}

}  // namespace davit::oci
