// One container: its init, its execs, their stdio, and the events about them.
//
// Requests arrive with the Call to answer; each is answered exactly once, Wait and Delete perhaps
// later. Everything runs on the loop's thread, so that one request or exit is handled at a time;
// what has to be waited for (a logger, a hook, the executor, an exit, output to drain) leaves a
// phase behind that refuses what cannot be done meanwhile. What the executor waits for is done by
// fibers, which are gone before the container is.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "native/oci/container.h"
#include "shim/loop/fibers.h"
#include "shim/loop/loop.h"
#include "shim/rpc/publisher.h"
#include "shim/rpc/server.h"
#include "shim/stdio/process_io.h"
#include "shim/task/exit_record.h"
#include "shim/task/oci_runtime.h"
#include "shim/task/state.h"
#include "shim/wire/messages.h"

namespace davit::shim {

// What a task needs from the shim around it.
struct Host {
  Loop& loop;
  Fibers& fibers;
  Server& server;
  Publisher& events;
  std::string namespace_;
};

class Task {
 public:
  // `gone` is called when the task is deleted, or was never created; it may destroy the task.
  Task(Host& host, wire::CreateTaskRequest request, std::function<void()> gone);
  ~Task();

  void create(const Call& call);
  void start(const Call& call, const std::string& exec_id);
  void remove(const Call& call, const std::string& exec_id);
  void exec(const Call& call, wire::ExecProcessRequest request);
  void state(const Call& call, const std::string& exec_id);
  void wait(const Call& call, const std::string& exec_id);
  void kill(const Call& call, const wire::ProcessRequest& request);
  void pids(const Call& call);
  void pause(const Call& call);
  void resume(const Call& call);
  void resize(const Call& call, const wire::ProcessRequest& request);
  void close_io(const Call& call, const wire::ProcessRequest& request);
  void update(const Call& call, const std::string& resources);
  void checkpoint(const Call& call, const wire::CheckpointTaskRequest& request);
  void stats(const Call& call);

  const std::string& id() const { return request_.id; }
  pid_t pid() const { return init_.pid; }
  // The processes whose exits are this task's to know.
  void children(std::vector<pid_t>& out) const;
  // Takes note of an exit; false when the process is none of this task's.
  bool exited(const Exit& exit);
  // Ends every process at once; for a shim that is told to go.
  void kill_everything();
  bool alive() const { return container_ != nullptr && init_.phase < Phase::kStopped; }
  // Gives back what the container holds on the host.
  void release();

 private:
  struct Process {
    std::string exec_id;  // "" = init
    Phase phase = Phase::kCreating;
    pid_t pid = 0;
    Fd pidfd;  // execs only
    std::string spec;
    wire::StdioPaths stdio;
    std::unique_ptr<ProcessIo> io;
    uint32_t exit_status = 0;
    wire::Timestamp exited_at;
    bool start_failed =
        false;  // of an exec: who waits for it is answered, as containerd's shim does
    std::vector<Call> waiters;
    std::optional<Call> starter;  // while an exec's logger gets ready
    std::optional<Call> deleter;  // of a created init, while it dies
    bool is_exec() const { return !exec_id.empty(); }
  };

  void io_ready(const Call& call, const oci::CreateOptions& options);
  Result<std::unique_ptr<oci::Container>> call_executor(const oci::CreateOptions& options,
                                                        Fd& console);
  Result<> make_container(const oci::CreateOptions& options);
  void created(const Call& call, const Result<>& made);
  void init_started(const Call& call, const Result<>& started);
  bool may_exec(const Call& call);  // answers when not
  void start_exec(const Call& call, Process& process);
  Result<> start_init();
  Result<oci::Process> start_program(const Process& process);
  void launch_exec(const Call& call, Process& process);
  void exec_launched(const Call& call, Process& process, Result<oci::Process> launched);
  void exec_not_started(Process& process);
  void watch_oom();
  void check_oom(int64_t again);
  void init_exited(const Exit& exit);
  void settle_init_exit();
  void finish(Process& process, const Exit& exit);
  void remove_now(const Call& call, Process& process);
  void removed(const Call& call, const std::string& exec_id);
  void init_removed(const Call& call);
  void destroy_container();
  void detach_rootfs();

  // Work that waits, while what would disturb it is refused: the container is being `what`.
  void busy_with(const char* what, std::function<Result<>()> work,
                 std::function<void(const Result<>&)> done);
  // The process asked for when `operation` is allowed on it now, else answers and returns nullptr.
  Process* find(const Call& call, const std::string& exec_id);
  Process* find(const Call& call, const std::string& exec_id, Operation operation);
  void answer(const Call& call, std::string_view payload = {});
  void refuse(const Call& call, const ttrpc::Status& status);
  void refuse(const Call& call, const std::string& context, const Error& error);

  Host& host_;
  wire::CreateTaskRequest request_;
  std::function<void()> gone_;
  std::string rootfs_;                 // what is mounted; "" = nothing
  std::optional<OciRuntime> runtime_;  // does the executor's work
  std::unique_ptr<oci::Container> container_;
  Process init_;
  std::map<std::string, Process> execs_;
  std::optional<Exit> init_exit_;  // init has ended, some exec not yet
  uint64_t exit_timer_ = 0;
  oci::OomWatch oom_;
  Watch oom_watch_;
  uint64_t oom_kills_ = 0;
  uint64_t oom_timer_ = 0;
  IoContext io_context_;
  std::string criu_work_;
  const char* doing_ = nullptr;  // of busy_with
  bool killed_ = false;          // meanwhile: it must not stay frozen
};

}  // namespace davit::shim
