#include "shim/oci/commands.h"

namespace davit::oci_cli {
namespace {

using enum Takes;

constexpr Flag kGlobals[] = {
    {"debug", 0, kNothing, "also log what is not a problem"},
    {"log", 0, kValue, "file to log to (default: standard error)"},
    {"log-format", 0, kValue, "text or json (default: text)"},
    {"root", 0, kValue, "where the state of containers is kept, a tmpfs"},
    {"criu", 0, kValue, "path of the criu program (default: criu)"},
    {"systemd-cgroup", 0, kNothing, "cgroups through systemd; cgroupsPath is slice:prefix:name"},
    {"rootless", 0, kValue, "ignore cgroup permission errors: true, false or auto"},
    {"trace", 0, kNothing, "print the microseconds of each step of a start"},
    {"version", 'v', kNothing, "print the version"},
};

constexpr Flag kBundle = {"bundle", 'b', kValue, "directory of the bundle (default: the current)"};
constexpr Flag kConsole = {"console-socket", 0, kValue,
                           "unix socket that receives the terminal's master"};
constexpr Flag kPidFile = {"pid-file", 0, kValue, "file to write the process id to"};
constexpr Flag kDetach = {"detach", 'd', kNothing, "do not wait for the process"};
constexpr Flag kNoSubreaper = {"no-subreaper", 0, kNothing, "do not reap orphans of the container"};
constexpr Flag kNoPivot = {"no-pivot", 0, kNothing,
                           "do not use pivot_root, for a root on a ramdisk"};
constexpr Flag kNoKeyring = {"no-new-keyring", 0, kNothing, "keep the caller's session keyring"};
constexpr Flag kPreserve = {"preserve-fds", 0, kNumber, "pass N further descriptors, from 3 on"};
constexpr Flag kFormat = {"format", 'f', kValue, "table or json (default: table)"};

constexpr Flag kCreate[] = {kBundle, kConsole, kPidFile, kNoPivot, kNoKeyring, kPreserve};
constexpr Flag kRun[] = {
    kBundle,      kConsole,
    kDetach,      {"keep", 0, kNothing, "do not delete the container at its end"},
    kPidFile,     kNoPivot,
    kNoKeyring,   kPreserve,
    kNoSubreaper,
};
constexpr Flag kExec[] = {
    kConsole,
    kDetach,
    kPidFile,
    kPreserve,
    {"cwd", 0, kValue, "working directory in the container"},
    {"env", 'e', kValues, "set an environment variable"},
    {"tty", 't', kNothing, "give the process a terminal"},
    {"user", 'u', kValue, "UID[:GID]"},
    {"additional-gids", 'g', kValues, "further group ids"},
    {"process", 'p', kValue, "file with the process as JSON"},
    {"process-label", 0, kValue, "SELinux label"},
    {"apparmor", 0, kValue, "AppArmor profile"},
    {"no-new-privs", 0, kNothing, "set no_new_privs"},
    {"cap", 'c', kValues, "add a capability"},
    {"cgroup", 0, kValues, "an existing sub-cgroup, [CONTROLLER:]PATH"},
    {"ignore-paused", 0, kNothing, "also into a paused container"},
};
constexpr Flag kKill[] = {{"all", 'a', kNothing, "signal every process of the container"}};
constexpr Flag kDelete[] = {{"force", 'f', kNothing, "end it first if it runs"}};
constexpr Flag kList[] = {kFormat, {"quiet", 'q', kNothing, "ids only"}};
constexpr Flag kPs[] = {kFormat};
constexpr Flag kEvents[] = {
    {"interval", 0, kValue, "time between two statistics (default: 5s)"},
    {"stats", 0, kNothing, "print statistics once and end"},
};
constexpr Flag kUpdate[] = {
    {"resources", 'r', kValue, "file with resources as JSON, - for standard input"},
    {"blkio-weight", 0, kNumber, "block I/O weight, 10 to 1000"},
    {"cpu-period", 0, kNumber, "CFS period in microseconds"},
    {"cpu-quota", 0, kNumber, "CFS quota in microseconds"},
    {"cpu-burst", 0, kNumber, "CFS burst in microseconds"},
    {"cpu-share", 0, kNumber, "CPU shares"},
    {"cpu-rt-period", 0, kNumber, "realtime period in microseconds"},
    {"cpu-rt-runtime", 0, kNumber, "realtime runtime in microseconds"},
    {"cpu-idle", 0, kNumber, "SCHED_IDLE: 1 or 0"},
    {"cpuset-cpus", 0, kValue, "CPUs to use"},
    {"cpuset-mems", 0, kValue, "memory nodes to use"},
    {"memory", 0, kValue, "memory limit in bytes"},
    {"memory-reservation", 0, kValue, "memory soft limit in bytes"},
    {"memory-swap", 0, kValue, "memory and swap in bytes, -1: unlimited"},
    {"kernel-memory", 0, kValue, "ignored"},
    {"kernel-memory-tcp", 0, kValue, "ignored"},
    {"pids-limit", 0, kNumber, "most processes"},
    {"l3-cache-schema", 0, kValue, "Intel RDT L3 cache schema"},
    {"mem-bw-schema", 0, kValue, "Intel RDT memory bandwidth schema"},
};
constexpr Flag kCheckpoint[] = {
    {"image-path", 0, kValue, "directory of the image (default: checkpoint)"},
    {"work-path", 0, kValue, "directory of CRIU's log"},
    {"parent-path", 0, kValue, "image of an earlier pre-dump"},
    {"leave-running", 0, kNothing, "do not end the container"},
    {"tcp-established", 0, kNothing, "allow open TCP connections"},
    {"ext-unix-sk", 0, kNothing, "allow outer unix sockets"},
    {"shell-job", 0, kNothing, "allow a terminal of the caller's"},
    {"lazy-pages", 0, kNothing, "restore memory when it is used"},
    {"status-fd", 0, kNumber, "descriptor that hears when lazy pages are ready"},
    {"page-server", 0, kValue, "ADDRESS:PORT"},
    {"file-locks", 0, kNothing, "keep file locks"},
    {"pre-dump", 0, kNothing, "memory only, the container goes on"},
    {"manage-cgroups-mode", 0, kValue, "soft, full, strict or ignore"},
    {"empty-ns", 0, kValues, "make a namespace without its content"},
    {"auto-dedup", 0, kNothing, "write each page once"},
};
constexpr Flag kRestore[] = {
    kBundle,
    kConsole,
    kDetach,
    kPidFile,
    kNoPivot,
    kNoSubreaper,
    {"image-path", 0, kValue, "directory of the image (default: checkpoint)"},
    {"work-path", 0, kValue, "directory of CRIU's log"},
    {"tcp-established", 0, kNothing, "allow open TCP connections"},
    {"ext-unix-sk", 0, kNothing, "allow outer unix sockets"},
    {"shell-job", 0, kNothing, "allow a terminal of the caller's"},
    {"file-locks", 0, kNothing, "keep file locks"},
    {"manage-cgroups-mode", 0, kValue, "soft, full, strict or ignore"},
    {"empty-ns", 0, kValues, "make a namespace without its content"},
    {"auto-dedup", 0, kNothing, "write each page once"},
    {"lazy-pages", 0, kNothing, "restore memory when it is used"},
    {"lsm-profile", 0, kValue, "TYPE:NAME"},
    {"lsm-mount-context", 0, kValue, "mount context of the security module"},
};
constexpr Flag kSpec[] = {
    {"bundle", 'b', kValue, "directory to write config.json to (default: the current)"},
    {"rootless", 0, kNothing, "for a container without root"},
};

constexpr char kId[] = "<container-id>";

constexpr Command kCommands[] = {
    {"checkpoint", kId, "save a running container", 1, 1, kCheckpoint, checkpoint_command},
    {"create", kId, "create a container", 1, 1, kCreate, create_command, true, "create failed: "},
    {"delete", kId, "remove what a container holds", 1, 1, kDelete, delete_command},
    {"events", kId, "print statistics and out-of-memory notices", 1, 1, kEvents, events_command},
    {"exec", "<container-id> <command> [arguments...] | -p process.json <container-id>",
     "run a further process in a container", 1, -1, kExec, exec_command, false,
     "exec failed: ", 255},
    {"features", "", "print what this program can do", 0, 0, {}, features_command},
    {"kill", "<container-id> [signal]", "signal a container (default: SIGTERM)", 1, 2, kKill,
     kill_command},
    {"list", "", "list the containers of this root", 0, 0, kList, list_command},
    {"pause", kId, "suspend every process of a container", 1, 1, {}, pause_command},
    {"ps", "<container-id> [ps options]", "list the processes of a container", 1, -1, kPs,
     ps_command, false},
    {"restore", kId, "continue from a checkpoint", 1, 1, kRestore, restore_command},
    {"resume", kId, "continue what pause suspended", 1, 1, {}, resume_command},
    {"run", kId, "create and start a container", 1, 1, kRun, run_command, true, "run failed: "},
    {"spec", "", "write an example config.json", 0, 0, kSpec, spec_command},
    {"start", kId, "start a created container", 1, 1, {}, start_command},
    {"state", kId, "print a container's state", 1, 1, {}, state_command},
    {"update", kId, "change a container's limits", 1, 1, kUpdate, update_command},
};

std::string flag_lines(std::span<const Flag> flags) {
  constexpr std::size_t kColumn = 30;
  std::string out;
  for (const Flag& flag : flags) {
    std::string left = std::string("   --") + flag.name;
    if (flag.takes != kNothing) left += " value";
    if (flag.letter != 0) left += std::string(", -") + flag.letter;
    left.resize(std::max(left.size() + 2, kColumn), ' ');
    out += left + flag.help + '\n';
  }
  return out;
}

}  // namespace

std::span<const Command> commands() {
  return kCommands;
}
std::span<const Flag> global_flags() {
  return kGlobals;
}

std::string help_text() {
  std::string out =
      "NAME:\n   davit-oci - run containers from OCI bundles\n\n"
      "USAGE:\n   davit-oci [global options] command [command options] [arguments...]\n\n"
      "COMMANDS:\n";
  for (const Command& command : kCommands) {
    std::string left = std::string("   ") + command.name;
    left.resize(15, ' ');
    out += left + command.about + '\n';
  }
  return out + "\nGLOBAL OPTIONS:\n" + flag_lines(kGlobals);
}

std::string help_text(const Command& command) {
  std::string out = std::string("NAME:\n   davit-oci ") + command.name + " - " + command.about +
                    "\n\nUSAGE:\n   davit-oci " + command.name +
                    (command.flags.empty() ? "" : " [command options]") +
                    (*command.arguments == 0 ? "" : " ") + command.arguments + '\n';
  return command.flags.empty() ? out : out + "\nOPTIONS:\n" + flag_lines(command.flags);
}

}  // namespace davit::oci_cli
