#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "native/kernel/file.h"
#include "native/kernel/in_root.h"
#include "native/oci/checkpoint/checkpoint.h"
#include "native/oci/json.h"
#include "native/oci/mount_options.h"

namespace davit::oci {
namespace {

constexpr std::size_t kLargestDescriptors = 64 << 10;

// Images come from archives: none may be a link, which criu would follow to a file of the host's
// (CVE-2026-53489), nor anything else but a file.
Result<> check_images(const std::string& path, bool may_have_parent) {
  DAVIT_ASSIGN(Fd dir, kernel::open_at(AT_FDCWD, path.c_str(), O_RDONLY | O_DIRECTORY));
  std::unique_ptr<DIR, int (*)(DIR*)> entries(::fdopendir(dir.release()), ::closedir);
  if (!entries) return fail_errno("list \"" + path + '"');
  while (const dirent* entry = ::readdir(entries.get())) {
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    struct stat st;
    if (::fstatat(::dirfd(entries.get()), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
      return fail_errno("stat \"" + path + '/' + entry->d_name + '"');
    if (S_ISREG(st.st_mode) || (may_have_parent && name == "parent" && S_ISLNK(st.st_mode)))
      continue;
    return fail(EINVAL, "checkpoint: \"" + std::string(name) + "\" is not a regular file");
  }
  return {};
}

// What the standard streams were, as a dump by us or by runc says.
Result<std::vector<std::string>> read_descriptors(const std::string& dir) {
  const std::string path = dir + "/descriptors.json";
  auto file = kernel::open_at(AT_FDCWD, path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (!file) return wrap("checkpoint", std::move(file).error());
  auto text = kernel::read_all(file->get(), kLargestDescriptors);
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
  return {};
}

// New standard streams for what were pipes and files of the host's, and the network namespace.
Result<> choose_inherited(const RestorePlan& plan, CriuRun& run) {
  constexpr int kFirst = 3;
  DAVIT_ASSIGN(std::vector<std::string> streams, read_descriptors(plan.options.image_path));
  const Stdio& stdio = plan.create.stdio;
  const int wanted[3] = {stdio.in, stdio.out, stdio.err};
  for (std::size_t i = 0; i < 3; i++) {
    const std::string& stream = streams[i];
    const bool repeated =
        std::ranges::any_of(run.inherited, [&](const auto& one) { return one.first == stream; });
    if (repeated || !(stream.starts_with("pipe:") || stream.starts_with("file["))) continue;
    Fd fd(wanted[i] >= 0 ? ::fcntl(wanted[i], F_DUPFD_CLOEXEC, kFirst)
                         : ::open("/dev/null", O_RDWR | O_CLOEXEC));
    if (!fd) return fail_errno("copy standard streams");
    run.inherited.emplace_back(stream, std::move(fd));
  }
  const Namespace* network = plan.spec.find_namespace(CLONE_NEWNET);
  if (network != nullptr && !network->path.empty()) {
    DAVIT_ASSIGN(Fd fd, kernel::open_at(AT_FDCWD, network->path.c_str(), O_RDONLY));
    run.inherited.emplace_back(kOuterNetwork, std::move(fd));
  }
  return {};
}

}  // namespace

Result<CriuAnswer> restore_processes(const RestorePlan& plan) {
  const CheckpointOptions& options = plan.options;
  DAVIT_TRY(check_images(options.image_path, options.may_have_parent));
  const std::string& given = plan.spec.root_path;
  std::string root = given.starts_with('/') ? given : plan.create.bundle + '/' + given;
  DAVIT_TRY(make_mount_points(plan.spec, root));
  DAVIT_ASSIGN(Cgroup::Entrance entrance, plan.cgroup.entrance());
  CriuRun run;
  run.work = CriuWork::kRestore;
  run.program = options.criu;
  run.images = options.image_path;
  run.log_dir = options.work_path.empty() ? plan.state_dir : options.work_path;
  DAVIT_TRY(kernel::make_dirs(AT_FDCWD, run.log_dir.c_str(), 0700));
  DAVIT_TRY(choose_inherited(plan, run));
  run.options = common_options(options);
  run.options.bytes(criu_field::kRoot, root);
  run.options.boolean(criu_field::kSibling, true);
  run.options.boolean(criu_field::kLeaveStopped, true);
  run.options.bytes(criu_field::kLsmProfile, options.lsm_profile);
  run.options.bytes(criu_field::kLsmMountContext, options.lsm_mount_context);
  for (const ExternalMount& mount : external_mounts(plan.spec, plan.create.bundle, plan.cgroup))
    run.options.bytes(criu_field::kExternal, "mnt[" + mount.destination + "]:" + mount.source);
  run.cgroup = entrance.clone_target.get();
  run.prepare = [&] { return surround(plan, root, entrance.task_files); };
  run.deadline_ms = kCriuMs;
  DAVIT_ASSIGN(CriuAnswer restored, run_criu(std::move(run)));
  if (restored.pid <= 0) return fail(EPROTO, "criu gave no process id");
  return restored;
}

}  // namespace davit::oci
