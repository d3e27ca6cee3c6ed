// The life of a process, init or exec, and what may be asked of it when.
//
//            Create/Exec          Start             exits            Delete
//   (none) ────────────> created ───────> running ─────────> stopped ───────> deleting ──> (gone)
//                           │              │   ^                ^
//                           │        Pause │   │ Resume         │ exits
//                           │              v   │                │
//                           │             paused ───────────────┤
//                           └───────────────────────────────────┘  killed before Start
//
// creating and starting stand before created and running while something is waited for (a logger, a
// hook, the process itself); an init that is starting can be killed. pausing is never seen, since
// freezing is one step here. Only init pauses. An exec's `created` has no process yet: Start makes
// it. Every other arrow is an error, whose text clients know.
#pragma once

#include <string>

#include "shim/wire/messages.h"
#include "shim/wire/ttrpc.h"

namespace davit::shim {

enum class Phase { kCreating, kCreated, kStarting, kRunning, kPaused, kStopped, kDeleting };

enum class Operation {
  kStart,
  kDelete,
  kPause,
  kResume,
  kUpdate,
  kExec,
  kResize,
  kKill,
  kCheckpoint
};

// kOk when `operation` may be done in `phase`, else the answer to give.
ttrpc::Status check(Operation operation, Phase phase, bool is_exec);

// What State tells.
wire::Status visible(Phase phase);

// `what: not found` and the like: the class's words at the end, as Go clients expect.
ttrpc::Status not_found(const std::string& what);
ttrpc::Status already_exists(const std::string& what);
ttrpc::Status failed_precondition(const std::string& what);

}  // namespace davit::shim
