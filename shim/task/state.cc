#include "shim/task/state.h"

namespace davit::shim {

using ttrpc::Code;
using ttrpc::Status;

Status not_found(const std::string& what) {
  return {Code::kNotFound, what + ": not found"};
}

Status already_exists(const std::string& what) {
  return {Code::kAlreadyExists, what + ": already exists"};
}

Status failed_precondition(const std::string& what) {
  return {Code::kFailedPrecondition, what + ": failed precondition"};
}

namespace {

constexpr const char* kVerbs[] = {"start",   "delete", "pause", "resume",    "update",
                                  "exec in", "resize", "kill",  "checkpoint"};

const char* phase_name(Phase phase) {
  switch (phase) {
    case Phase::kCreating:
    case Phase::kCreated:
      return "created";
    case Phase::kStarting:
    case Phase::kRunning:
      return "running";
    case Phase::kPaused:
      return "paused";
    case Phase::kStopped:
      return "stopped";
    case Phase::kDeleting:
      return "deleted";
  }
  return "unknown";
}

bool allowed(Operation operation, Phase phase, bool is_exec) {
  switch (operation) {
    case Operation::kStart:
      return phase == Phase::kCreated;
    case Operation::kDelete:
      return phase == Phase::kCreated || phase == Phase::kStopped;
    case Operation::kPause:
      return phase == Phase::kRunning;
    case Operation::kCheckpoint:
      return phase == Phase::kRunning || phase == Phase::kPaused;
    case Operation::kResume:
      return phase == Phase::kPaused;
    case Operation::kUpdate:
    case Operation::kResize:
      return phase != Phase::kStopped && phase != Phase::kDeleting;
    case Operation::kExec:
      return phase == Phase::kCreated || phase == Phase::kRunning;
    case Operation::kKill:
      return phase == Phase::kRunning || phase == Phase::kPaused ||
             ((phase == Phase::kCreated || phase == Phase::kStarting) && !is_exec);
  }
  return false;
}

std::string object_of(Operation operation, Phase phase, bool is_exec) {
  const std::string name = phase_name(phase);
  if (operation == Operation::kExec) return "a " + name + " state";
  if (operation == Operation::kCheckpoint)
    return phase == Phase::kCreated ? "a task in created state" : "a " + name + " container";
  const bool on_container = operation == Operation::kPause || operation == Operation::kResume ||
                            operation == Operation::kUpdate || operation == Operation::kResize;
  if (on_container && phase == Phase::kCreated) return "task in created state";
  if (operation == Operation::kResume && phase == Phase::kRunning) return "a running process";
  return "a " + name + (on_container && !is_exec ? " container" : " process");
}

}  // namespace

Status check(Operation operation, Phase phase, bool is_exec) {
  if (phase == Phase::kCreating) return failed_precondition("container is being created");
  if (allowed(operation, phase, is_exec)) return {};
  if (phase == Phase::kStarting && !is_exec) {
    return failed_precondition("container is being started");
  }
  if (operation == Operation::kKill) {
    if (phase == Phase::kStopped || phase == Phase::kDeleting) {
      return not_found("process already finished");
    }
    return failed_precondition("process not created");
  }
  const std::string text = std::string("cannot ") + kVerbs[static_cast<int>(operation)] + " " +
                           object_of(operation, phase, is_exec);
  if (phase == Phase::kDeleting) return not_found(text);
  return {Code::kUnknown, text};
}

wire::Status visible(Phase phase) {
  switch (phase) {
    case Phase::kCreating:
      return wire::Status::kUnknown;
    case Phase::kCreated:
    case Phase::kStarting:
      return wire::Status::kCreated;
    case Phase::kRunning:
      return wire::Status::kRunning;
    case Phase::kPaused:
      return wire::Status::kPaused;
    case Phase::kStopped:
    case Phase::kDeleting:
      return wire::Status::kStopped;
  }
  return wire::Status::kUnknown;
}

}  // namespace davit::shim
