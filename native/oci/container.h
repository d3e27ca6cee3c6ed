// The executor: a bundle's config.json in, a running process out.
//
// create() leaves init complete but blocked just before execve of the user's program; start() lets
// it go. Every process made here is a child of the caller, who reaps it; nothing here waits on a
// SIGCHLD or reaps a process that it has handed out. Nothing logs: what could not be done but does
// not stop the container is in warnings().
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "native/kernel/fd.h"
#include "native/kernel/result.h"
#include "native/oci/stats.h"

namespace davit::oci {

// Borrowed descriptors; -1 is /dev/null. Ignored when process.terminal is set.
struct Stdio {
  int in = -1, out = -1, err = -1;
};

struct CreateOptions {
  std::string id;
  std::string bundle;     // absolute; holds config.json
  std::string state_dir;  // where state.json lives; empty: the bundle
  Stdio stdio;
  bool no_pivot = false;
  bool no_new_keyring = false;
  bool systemd_cgroup = false;  // the cgroup is a scope of systemd's: cgroupsPath slice:prefix:name
  // With it a later process may start the container: a socket `start.sock` is kept in state_dir.
  // Without it only this Container's start() can, and init ends when this Container goes.
  bool startable_by_others = false;
  int preserve_fds = 0;               // descriptors 3..3+N-1 are handed to the program
  std::vector<std::string> more_env;  // NAME=value, after those of the config
  int deadline_ms = 60'000;           // for each wait on the child; hooks have their own timeouts
};

struct ExecOptions {
  int preserve_fds = 0;
  bool even_paused = false;  // it then begins when the container is resumed
  // Existing cgroups below the container's, as `[CONTROLLERS:]PATH`.
  std::vector<std::string> cgroups;
};

// Of a checkpoint and of a restore from one; both need the program criu.
struct CheckpointOptions {
  std::string image_path;   // absolute: the folder of the images
  std::string work_path;    // for criu's log; empty: the images', or the state folder
  std::string parent_path;  // of an earlier checkpoint, relative to the images
  std::string criu;         // a path, or a name to find in PATH; empty: criu
  bool leave_running = false;
  bool tcp_established = false, external_unix_sockets = false, shell_job = false;
  bool file_locks = false, empty_network = false, auto_dedup = false;
  bool pre_dump = false;  // memory alone, and the container goes on
  // Pages go to, or are asked for at, a server; 0: the images hold them.
  std::string page_server;
  std::uint16_t page_server_port = 0;
  bool lazy_pages = false;
  int status_fd = -1;  // hears when lazy pages can be asked for
  // Of a restore: in place of what was saved.
  std::string lsm_profile, lsm_mount_context;
  bool may_have_parent = false;  // the images may lead on to those of an earlier checkpoint
};

// A process in the container. The caller reaps it.
struct Process {
  pid_t pid = -1;  // in the caller's pid namespace
  Fd pidfd;
  Fd console;  // the pty's master when process.terminal
  std::vector<std::string> warnings;
};

// Out-of-memory notices of the container's cgroup.
struct OomWatch {
  Fd fd;  // becomes readable when something happened
  std::string events_path;
  bool v2 = false;
  // Empties fd. Returns how many processes the kernel has killed so far in this cgroup.
  Result<std::uint64_t> read() const;
};

class Container {
 public:
  static Result<std::unique_ptr<Container>> create(const CreateOptions& options);
  // From a checkpoint: in the state of one that was created; start() lets it go on.
  static Result<std::unique_ptr<Container>> restore(const CreateOptions& options,
                                                    const CheckpointOptions& checkpoint);
  // A container that another process created, from its state.json. Its init may be gone.
  static Result<std::unique_ptr<Container>> load(const std::string& state_dir);
  ~Container();

  pid_t pid() const;
  int pidfd() const;  // borrowed; readable when init has ended
  Fd take_console();  // the pty's master when process.terminal
  const std::string& bundle() const;
  const std::vector<std::string>& warnings() const;

  // Returns after execve succeeded, or with its error; poststart hooks have then run.
  Result<> start();
  // `process` is an OCI Process as JSON. Returns after execve succeeded, or with its error.
  Result<Process> exec(std::string_view process, const Stdio& stdio,
                       const ExecOptions& options = {});

  Result<> kill(int signal);      // init only; ESRCH when it is gone
  Result<> kill_all(int signal);  // every process of the container's cgroup
  // Without leave_running init has ended when this returns.
  Result<> checkpoint(const CheckpointOptions& options);
  Result<> pause();
  Result<> resume();
  Result<bool> paused() const;
  Result<> update(std::string_view resources);  // OCI LinuxResources as JSON
  // Schemata of resctrl; an empty one stays as it is. ENOTSUP without linux.intelRdt.
  Result<> update_rdt(std::string_view l3_cache, std::string_view mem_bandwidth);
  Result<std::vector<pid_t>> pids() const;  // in the caller's pid namespace
  Result<Stats> stats() const;
  Result<OomWatch> oom_watch() const;

  // After init has ended: kills what is left in the cgroup, removes it, runs poststop hooks,
  // removes state.json. Goes on past a failure and returns the first.
  Result<> destroy();

  struct State;

 private:
  explicit Container(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Ends and cleans up whatever a crashed creator left of the container of this bundle: its
// processes, its cgroup, its state.json. Does not unmount the rootfs, which the creator's caller
// mounted. A creator that died before state.json was there leaves a cgroup at most, named after the
// bundle where config.json names none: it is removed unless somebody is in it.
Result<> destroy_left_behind(const std::string& bundle, const std::string& state_dir = "");

}  // namespace davit::oci
