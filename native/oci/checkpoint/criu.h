// The criu program, driven by its own protocol: `criu swrk`, requests and answers over a socket.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "native/kernel/fd.h"
#include "native/kernel/pb.h"
#include "native/kernel/result.h"

namespace davit::oci {

enum class CriuWork { kDump = 1, kRestore = 2, kPreDump = 4 };

// Of its message criu_opts.
namespace criu_field {
enum Field : std::uint32_t {
  kImages = 1,
  kPid = 2,
  kLeaveRunning = 3,
  kOuterUnixSockets = 4,
  kTcpEstablished = 5,
  kShellJob = 7,
  kFileLocks = 8,
  kLogLevel = 9,
  kLogFile = 10,
  kPageServer = 11,
  kNotify = 12,
  kRoot = 13,
  kParentImages = 14,
  kTrackMemory = 15,
  kAutoDedup = 16,
  kWork = 17,
  kForceIrmap = 21,
  kSibling = 26,
  kInherited = 27,
  kManageCgroups = 34,
  kExternal = 37,
  kEmptyNamespaces = 38,
  kFreezeCgroup = 44,
  kLazyPages = 48,
  kStatus = 49,
  kOrphanTerminals = 50,
  kLsmProfile = 53,
  kLsmMountContext = 63,
  kLeaveStopped = 69,
};
}

struct CriuRun {
  CriuWork work = CriuWork::kDump;
  std::string program;                                // a path, or a name to find in PATH
  pb::Writer options;                                 // without the folders and the log
  std::string images, log_dir;                        // criu's log there is dump.log or restore.log
  std::vector<std::pair<std::string, Fd>> inherited;  // what stands for what it calls so
  int status = -1;                                    // a descriptor that hears of lazy pages
  int cgroup = -1;                                    // to be born in (v2)
  std::function<Result<>()> prepare;                  // in the child, before criu begins
  int deadline_ms = 0;                                // -1: none
};

struct CriuAnswer {
  pid_t pid = -1;  // of what was restored
  Fd console;      // the master of a terminal that was saved without one
};

// Runs it to its end, with the caller's loop going on. ENOENT when there is none.
Result<CriuAnswer> run_criu(CriuRun run);

}  // namespace davit::oci
