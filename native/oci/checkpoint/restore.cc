#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "native/kernel/file.h"
#include "native/kernel/in_root.h"
#include "native/kernel/process.h"
#include "native/oci/checkpoint/checkpoint.h"
#include "native/oci/checkpoint/criu.h"
#include "native/oci/json.h"
#include "native/oci/mount_options.h"

namespace davit::oci {
namespace {

constexpr int kFirstStream = 3;  // criu's copies of the standard streams
constexpr const char* kPidFile = "restored.pid";

// What the standard streams were, as a dump by us or by runc says.
Result<std::vector<std::string>> read_descriptors(const std::string& dir) {
  auto text = kernel::read_file(AT_FDCWD, (dir + "/descriptors.json").c_str());
  if (!text) return wrap("checkpoint", std::move(text).error());
  DAVIT_ASSIGN(json::Document document, json::parse("{\"fds\":" + *text + '}'));
  std::vector<std::string> streams;
  DAVIT_TRY(json::get(document, "fds", json::At{"descriptors.json"}, streams));
  streams.resize(3);
  return streams;
}

bool lies_below(const std::string& path, const std::string& above) {
  return above != "/" && path.size() > above.size() && path.starts_with(above) &&
         path[above.size()] == '/';
}

// criu mounts onto what is there; only what lies on another mount does it bring itself.
Result<> make_mount_points(const Spec& spec, const std::string& root) {
  DAVIT_ASSIGN(Fd top, kernel::open_at(AT_FDCWD, root.c_str(), O_PATH | O_DIRECTORY));
  for (std::size_t i = 0; i < spec.mounts.size(); i++) {
    const Mount& mount = spec.mounts[i];
    bool inside = false;
    for (std::size_t j = 0; j < i; j++)
      inside |= lies_below(mount.destination, spec.mounts[j].destination);
    if (inside) continue;
    DAVIT_ASSIGN(MountOptions options, parse_mount_options(mount));
    struct stat st;
    bool file = options.bind && ::stat(mount.source.c_str(), &st) == 0 && !S_ISDIR(st.st_mode);
    auto made = file ? kernel::make_file_in_root(top.get(), mount.destination, 0644)
                     : kernel::make_dir_in_root(top.get(), mount.destination, 0755);
    if (!made) return wrap("mount point", std::move(made).error());
  }
  return {};
}

// In the child that becomes criu: its mount namespace holds the root as a mount of its own, its
// cgroups are the container's, and so those of what it restores.
Result<> surround(const RestorePlan& plan, const std::string& root,
                  const std::vector<Fd>& task_files) {
  for (const Fd& tasks : task_files)
    if (::write(tasks.get(), "0", 1) != 1) return fail_errno("join the cgroup");
  if (plan.spec.new_namespace(CLONE_NEWCGROUP) && ::unshare(CLONE_NEWCGROUP) != 0)
    return fail_errno("new cgroup namespace");
  if (::unshare(CLONE_NEWNS) != 0) return fail_errno("new mount namespace");
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0 ||
      ::mount(root.c_str(), root.c_str(), nullptr, MS_BIND | MS_REC, nullptr) != 0)
    return fail_errno("mount the rootfs for criu");
  const Stdio& stdio = plan.create.stdio;
  const int wanted[3] = {stdio.in, stdio.out, stdio.err};
  Fd copies[3];
  // First out of the way, then to the numbers that criu was told.
  for (int i = 0; i < 3; i++) {
    copies[i].reset(wanted[i] >= 0 ? ::fcntl(wanted[i], F_DUPFD_CLOEXEC, kFirstStream + 3)
                                   : ::open("/dev/null", O_RDWR | O_CLOEXEC));
    if (!copies[i]) return fail_errno("copy standard streams");
    if (copies[i].get() < kFirstStream + 3)
      copies[i].reset(::fcntl(copies[i].get(), F_DUPFD_CLOEXEC, kFirstStream + 3));
  }
  (void)kernel::close_on_exec_from(3);
  for (int i = 0; i < 3; i++)
    if (::dup2(copies[i].get(), kFirstStream + i) < 0) return fail_errno("copy standard streams");
  return {};
}

Result<pid_t> read_pid(const std::string& path) {
  DAVIT_ASSIGN(std::string text, kernel::read_file(AT_FDCWD, path.c_str()));
  ::unlink(path.c_str());
  int pid = ::atoi(text.c_str());
  if (pid <= 0) return fail(EPROTO, "criu gave no process id");
  return pid;
}

}  // namespace

Result<pid_t> restore_processes(const RestorePlan& plan) {
  const CheckpointOptions& options = plan.options;
  DAVIT_ASSIGN(std::vector<std::string> streams, read_descriptors(options.image_path));
  const std::string& given = plan.spec.root_path;
  std::string root = given.starts_with('/') ? given : plan.create.bundle + '/' + given;
  DAVIT_TRY(make_mount_points(plan.spec, root));
  const std::string work = options.work_path.empty() ? plan.state_dir : options.work_path;
  DAVIT_TRY(kernel::make_dirs(AT_FDCWD, work.c_str(), 0700));
  std::string pid_file = plan.state_dir + '/' + kPidFile;
  ::unlink(pid_file.c_str());
  DAVIT_ASSIGN(Cgroup::Entrance entrance, plan.cgroup.entrance());
  CriuRun run;
  run.args = common_arguments(options, "restore", work);
  run.args.insert(run.args.end(), {"--root", root, "--restore-detached", "--restore-sibling",
                                   "--leave-stopped", "--pidfile", pid_file});
  for (const ExternalMount& mount : external_mounts(plan.spec, plan.create.bundle))
    run.args.insert(run.args.end(),
                    {"--external", "mnt[" + mount.destination + "]:" + mount.source});
  for (std::size_t i = 0; i < 3; i++) {
    bool repeated = i > 0 && streams[i] == streams[i - 1];
    if (streams[i].starts_with("pipe:") && !repeated)
      run.args.insert(run.args.end(),
                      {"--inherit-fd", "fd[" + std::to_string(kFirstStream + static_cast<int>(i)) +
                                           "]:" + streams[i]});
  }
  run.log = work + "/restore.log";
  run.cgroup = entrance.clone_target.get();
  run.prepare = [&] { return surround(plan, root, entrance.task_files); };
  run.deadline_ms = plan.create.deadline_ms;
  DAVIT_TRY(run_criu(run));
  return read_pid(pid_file);
}

}  // namespace davit::oci
