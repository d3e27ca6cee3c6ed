#include "shim/task/task.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/syscall.h>

#include <utility>

#include "native/kernel/pb.h"
#include "shim/fault.h"
#include "shim/log.h"
#include "shim/task/metrics.h"
#include "shim/task/options.h"
#include "shim/task/rootfs.h"

namespace davit::shim {

using ttrpc::Code;
using ttrpc::Status;

namespace {

// The words that people know from runc, and tools look for.
constexpr char kNotStarted[] = "unable to start container process";

Code code_of(int error) {
  switch (error) {
    case ENOTSUP:
      return Code::kUnimplemented;
    case EINVAL:
      return Code::kInvalidArgument;
    default:
      return Code::kUnknown;
  }
}

// What cannot be done while the container is being frozen, thawed or saved.
bool disturbs(Operation operation) {
  return operation == Operation::kPause || operation == Operation::kResume ||
         operation == Operation::kCheckpoint || operation == Operation::kUpdate ||
         operation == Operation::kExec;
}

std::string task_io(const wire::StdioPaths& stdio) {
  pb::Writer w;
  w.text(1, stdio.in);
  w.text(2, stdio.out);
  w.text(3, stdio.err);
  w.boolean(4, stdio.terminal);
  return w.take();
}

}  // namespace

Task::Task(Host& host, wire::CreateTaskRequest request, std::function<void()> gone)
    : host_(host), request_(std::move(request)), gone_(std::move(gone)) {
  io_context_.container_id = request_.id;
  io_context_.namespace_ = host.namespace_;
  init_.stdio = request_.stdio;
}

Task::~Task() {
  host_.fibers.cancel(this);
  host_.loop.cancel(exit_timer_);
  host_.loop.cancel(oom_timer_);
}

void Task::answer(const Call& call, std::string_view payload) {
  host_.server.reply(call, {}, payload);
}

void Task::refuse(const Call& call, const Status& status) {
  host_.server.reply(call, status, {});
}

void Task::refuse(const Call& call, const std::string& context, const Error& error) {
  refuse(call, {code_of(error.code), context + ": " + error.text()});
}

Task::Process* Task::find(const Call& call, const std::string& exec_id) {
  if (exec_id.empty()) return &init_;
  const auto found = execs_.find(exec_id);
  if (found != execs_.end()) return &found->second;
  refuse(call, not_found("process does not exist " + exec_id));
  return nullptr;
}

Task::Process* Task::find(const Call& call, const std::string& exec_id, Operation operation) {
  Process* process = find(call, exec_id);
  if (process == nullptr) return nullptr;
  Status status = check(operation, process->phase, process->is_exec());
  if (doing_ != nullptr && disturbs(operation))
    status = failed_precondition(std::string("container is being ") + doing_);
  if (status.code == Code::kOk) return process;
  refuse(call, status);
  return nullptr;
}

void Task::create(const Call& call) {
  oci::CreateOptions options;
  options.id = request_.id;
  options.bundle = request_.bundle;
  RuntimeOptions own;
  Result<> possible = apply_options(request_.options, options, io_context_, own);
  if (possible && own.other && !request_.checkpoint.empty()) {
    possible = fail(ENOTSUP, "restore from a checkpoint with \"" + own.other->binary + "\"");
  }
  if (!possible) {
    const Error& error = possible.error();
    // Not the kernel's words: the message says it all.
    refuse(call, {code_of(error.code), error.message});
    return gone_();
  }
  criu_work_ = std::move(own.criu_work);
  if (own.other) runtime_.emplace(std::move(*own.other), request_.id, request_.bundle);
  init_.io = std::make_unique<ProcessIo>(host_.loop);
  init_.io->open(io_context_, request_.stdio, [this, call, options](Result<> opened) {
    if (opened) return io_ready(call, options);
    refuse(call, "OCI runtime create failed: stdio", opened.error());
    gone_();
  });
}

void Task::io_ready(const Call& call, const oci::CreateOptions& options) {
  auto made = std::make_shared<Result<>>();
  host_.fibers.start(
      this,
      [this, options, made] {
        *made = make_container(options);
        if (*made) *made = fault::at("shim.create.before-answer");
        if (*made) return;
        init_.pid = 0;
        destroy_container();
      },
      [this, call, made] { created(call, *made); });
}

void Task::created(const Call& call, const Result<>& made) {
  if (!made) {
    refuse(call, "OCI runtime create failed", made.error());
    detach_rootfs();
    return gone_();
  }
  init_.phase = Phase::kCreated;
  pb::Writer event;
  event.text(1, request_.id);
  event.text(2, request_.bundle);
  for (const auto& mount : request_.rootfs) event.bytes_always(3, wire::encode(mount));
  event.bytes_always(4, task_io(request_.stdio));
  event.varint(6, static_cast<uint32_t>(init_.pid));
  host_.events.publish("/tasks/create", "containerd.events.TaskCreate", event.data());
  request_.rootfs = {};
  request_.options = {};
  answer(call, wire::encode_pid(static_cast<uint32_t>(init_.pid)));
}

Result<std::unique_ptr<oci::Container>> Task::call_executor(const oci::CreateOptions& options,
                                                            Fd& console) {
  if (runtime_) return runtime_->create(options, request_.stdio.terminal, console);
  oci::CheckpointOptions checkpoint;
  checkpoint.image_path = request_.checkpoint;
  checkpoint.work_path = criu_work_;
  // criu took along what was open then: sockets and locks come back when the images hold any.
  checkpoint.tcp_established = checkpoint.external_unix_sockets = checkpoint.file_locks = true;
  auto created = request_.checkpoint.empty() ? oci::Container::create(options)
                                             : oci::Container::restore(options, checkpoint);
  if (!created) return wrap(kNotStarted, created.error());
  console = (*created)->take_console();
  return created;
}

Result<> Task::make_container(const oci::CreateOptions& options) {
  if (!request_.rootfs.empty()) {
    const std::string target = request_.bundle + "/rootfs";
    if (auto mounted = rootfs::mount(request_.rootfs, target); !mounted) {
      return wrap("failed to mount rootfs", mounted.error());
    }
    rootfs_ = target;
  }
  DAVIT_TRY(fault::at("shim.create.after-mounts"));
  oci::CreateOptions with_stdio = options;
  with_stdio.stdio = init_.io->ends();
  Fd console;
  auto created = call_executor(with_stdio, console);
  if (!created) return std::unexpected(created.error());
  container_ = std::move(*created);
  DAVIT_TRY(fault::at("shim.create.after-executor"));
  for (const auto& warning : container_->warnings()) log(warning);
  init_.pid = container_->pid();
  return init_.io->launched(std::move(console));
}

void Task::start(const Call& call, const std::string& exec_id) {
  Process* process = find(call, exec_id);
  if (process == nullptr) return;
  if (process->is_exec() && !may_exec(call)) return;
  process = find(call, exec_id, Operation::kStart);
  if (process == nullptr) return;
  if (process->is_exec()) return start_exec(call, *process);
  init_.phase = Phase::kStarting;
  auto started = std::make_shared<Result<>>();
  host_.fibers.start(
      this,
      [this, started] {
        *started = fault::at("shim.start.before");
        if (*started) *started = start_init();
      },
      [this, call, started] { init_started(call, *started); });
}

Result<> Task::start_init() {
  if (runtime_) return runtime_->start();
  auto started = container_->start();
  return started ? started : wrap(kNotStarted, started.error());
}

void Task::init_started(const Call& call, const Result<>& started) {
  if (started) {
    (void)fault::at("shim.start.after");
    init_.phase = Phase::kRunning;
    pb::Writer event;
    event.text(1, id());
    event.varint(2, static_cast<uint32_t>(init_.pid));
    host_.events.publish("/tasks/start", "containerd.events.TaskStart", event.data());
    answer(call, wire::encode_pid(static_cast<uint32_t>(init_.pid)));
    watch_oom();
  } else {
    init_.phase = Phase::kCreated;
    refuse(call, "OCI runtime start failed", started.error());
  }
  if (init_exit_) settle_init_exit();
}

bool Task::may_exec(const Call& call) {
  if (init_.phase == Phase::kStopped) {
    refuse(call, failed_precondition("container " + id() + " init process is not running"));
    return false;
  }
  return find(call, "", Operation::kExec) != nullptr;
}

void Task::exec(const Call& call, wire::ExecProcessRequest request) {
  if (!may_exec(call)) return;
  if (request.exec_id.empty()) return refuse(call, {Code::kInvalidArgument, "exec id is required"});
  if (execs_.contains(request.exec_id)) {
    return refuse(call, already_exists("id " + request.exec_id));
  }
  if (auto faulty = fault::at("shim.exec.create"); !faulty) {
    return refuse(call, "exec", faulty.error());
  }
  Process& process = execs_[request.exec_id];
  process.exec_id = request.exec_id;
  process.phase = Phase::kCreated;
  process.spec = std::move(request.spec.value);
  process.stdio = std::move(request.stdio);
  pb::Writer event;
  event.text(1, id());
  event.text(2, process.exec_id);
  host_.events.publish("/tasks/exec-added", "containerd.events.TaskExecAdded", event.data());
  answer(call);
}

void Task::start_exec(const Call& call, Process& process) {
  process.phase = Phase::kStarting;
  process.start_failed = false;
  process.starter = call;
  process.io = std::make_unique<ProcessIo>(host_.loop);
  process.io->open(io_context_, process.stdio, [this, call, &process](Result<> opened) {
    process.starter.reset();
    if (opened && may_exec(call)) return launch_exec(call, process);
    if (!opened) refuse(call, "OCI runtime exec failed: stdio", opened.error());
    exec_not_started(process);
  });
}

void Task::exec_not_started(Process& process) {
  process.phase = Phase::kCreated;
  process.start_failed = true;
  process.io.reset();
  const std::string payload = wire::encode_wait(process.exit_status, process.exited_at);
  for (const Call& waiter : std::exchange(process.waiters, {})) answer(waiter, payload);
}

Result<oci::Process> Task::start_program(const Process& process) {
  DAVIT_TRY(fault::at("shim.exec.before-start"));
  const oci::Stdio stdio = process.io->ends();
  if (runtime_) return runtime_->exec(process.spec, stdio, process.stdio.terminal);
  auto started = container_->exec(process.spec, stdio);
  if (!started) return wrap(std::string("exec failed: ") + kNotStarted, started.error());
  return started;
}

void Task::launch_exec(const Call& call, Process& process) {
  auto launched = std::make_shared<Result<oci::Process>>();
  host_.fibers.start(
      this, [this, &process, launched] { *launched = start_program(process); },
      [this, call, &process, launched] { exec_launched(call, process, std::move(*launched)); });
}

void Task::exec_launched(const Call& call, Process& process, Result<oci::Process> launched) {
  if (!launched) {
    refuse(call, "OCI runtime exec failed", launched.error());
    exec_not_started(process);
    if (init_exit_) settle_init_exit();
    return;
  }
  (void)fault::at("shim.exec.after-start");
  for (const auto& warning : launched->warnings) log(warning);
  process.spec = {};
  process.pid = launched->pid;
  process.pidfd = std::move(launched->pidfd);
  process.phase = Phase::kRunning;
  if (auto pumped = process.io->launched(std::move(launched->console)); !pumped) {
    log("exec " + process.exec_id + ": " + pumped.error().text());
  }
  pb::Writer event;
  event.text(1, id());
  event.text(2, process.exec_id);
  event.varint(3, static_cast<uint32_t>(process.pid));
  host_.events.publish("/tasks/exec-started", "containerd.events.TaskExecStarted", event.data());
  answer(call, wire::encode_pid(static_cast<uint32_t>(process.pid)));
}

void Task::state(const Call& call, const std::string& exec_id) {
  const Process* process = find(call, exec_id);
  if (process == nullptr) return;
  wire::State state;
  state.id = id();
  state.bundle = request_.bundle;
  state.pid = static_cast<uint32_t>(process->pid);
  state.status = visible(process->phase);
  state.stdio = process->stdio;
  state.exit_status = process->exit_status;
  state.exited_at = process->exited_at;
  state.exec_id = exec_id;
  answer(call, wire::encode(state));
}

void Task::wait(const Call& call, const std::string& exec_id) {
  Process* process = find(call, exec_id);
  if (process == nullptr) return;
  if (process->phase == Phase::kStopped || process->phase == Phase::kDeleting ||
      process->start_failed) {
    return answer(call, wire::encode_wait(process->exit_status, process->exited_at));
  }
  std::erase_if(process->waiters, [this](const Call& c) { return !host_.server.waiting(c); });
  process->waiters.push_back(call);
}

void Task::kill(const Call& call, const wire::ProcessRequest& request) {
  // A creation that hangs in a hook must have an end.
  const bool creating = init_.phase == Phase::kCreating && host_.fibers.busy(this);
  if (creating && request.exec_id.empty() && request.signal == SIGKILL) {
    host_.fibers.cancel(this);
    return answer(call);
  }
  Process* process = find(call, request.exec_id, Operation::kKill);
  if (process == nullptr) return;
  const int signal = static_cast<int>(request.signal);
  Result<> killed;
  if (process->is_exec()) {
    if (::syscall(SYS_pidfd_send_signal, process->pidfd.get(), signal, nullptr, 0) != 0) {
      killed = fail_errno("kill exec \"" + process->exec_id + "\"");
    }
  } else {
    killed = request.all ? container_->kill_all(signal) : container_->kill(signal);
  }
  if (!killed && killed.error().code == ESRCH) {
    return refuse(call, not_found("process already finished"));
  }
  if (!killed) return refuse(call, "kill", killed.error());
  if (signal == SIGKILL && !process->is_exec()) killed_ = true;
  // A frozen process dies only when it is thawed.
  if (signal == SIGKILL && init_.phase == Phase::kPaused) {
    if (auto resumed = container_->resume()) init_.phase = Phase::kRunning;
  }
  answer(call);
}

void Task::pids(const Call& call) {
  if (container_ == nullptr) return refuse(call, not_found("container not created"));
  auto pids = container_->pids();
  if (!pids) return refuse(call, "pids", pids.error());
  std::vector<wire::ProcessInfo> processes;
  for (const pid_t pid : *pids) {
    auto& info = processes.emplace_back();
    info.pid = static_cast<uint32_t>(pid);
    for (const auto& [exec_id, exec] : execs_) {
      if (exec.pid == pid) info.exec_id = exec_id;
    }
  }
  answer(call, wire::encode(processes));
}

void Task::busy_with(const char* what, std::function<Result<>()> work,
                     std::function<void(const Result<>&)> done) {
  doing_ = what;
  killed_ = false;
  auto result = std::make_shared<Result<>>();
  host_.fibers.start(
      this, [work = std::move(work), result] { *result = work(); },
      [this, done = std::move(done), result] {
        doing_ = nullptr;
        done(*result);
        if (init_exit_) settle_init_exit();
      });
}

void Task::pause(const Call& call) {
  if (find(call, "", Operation::kPause) == nullptr) return;
  busy_with(
      "paused", [this] { return container_->pause(); },
      [this, call](const Result<>& paused) {
        if (!paused) return refuse(call, "pause", paused.error());
        // A frozen process dies only when it is thawed.
        if (killed_ || init_.phase != Phase::kRunning) {
          (void)container_->resume();
          return refuse(call, failed_precondition("container is being killed"));
        }
        init_.phase = Phase::kPaused;
        pb::Writer event;
        event.text(1, id());
        host_.events.publish("/tasks/paused", "containerd.events.TaskPaused", event.data());
        answer(call);
      });
}

void Task::resume(const Call& call) {
  if (find(call, "", Operation::kResume) == nullptr) return;
  busy_with(
      "resumed", [this] { return container_->resume(); },
      [this, call](const Result<>& resumed) {
        if (!resumed) return refuse(call, "resume", resumed.error());
        if (init_.phase == Phase::kPaused) init_.phase = Phase::kRunning;
        pb::Writer event;
        event.text(1, id());
        host_.events.publish("/tasks/resumed", "containerd.events.TaskResumed", event.data());
        answer(call);
      });
}

void Task::resize(const Call& call, const wire::ProcessRequest& request) {
  Process* process = find(call, request.exec_id, Operation::kResize);
  if (process == nullptr) return;
  if (process->io == nullptr) return answer(call);
  auto resized = process->io->resize(request.width, request.height);
  if (!resized) return refuse(call, "resize", resized.error());
  answer(call);
}

void Task::close_io(const Call& call, const wire::ProcessRequest& request) {
  Process* process = find(call, request.exec_id);
  if (process == nullptr) return;
  if (request.stdin_ && process->io != nullptr) process->io->close_stdin();
  answer(call);
}

void Task::update(const Call& call, const std::string& resources) {
  if (find(call, "", Operation::kUpdate) == nullptr) return;
  if (auto done = container_->update(resources); !done) return refuse(call, "update", done.error());
  answer(call);
}

void Task::checkpoint(const Call& call, const wire::CheckpointTaskRequest& request) {
  if (find(call, "", Operation::kCheckpoint) == nullptr) return;
  if (runtime_) {
    return refuse(call, {Code::kUnimplemented, "checkpoint: only of the shim's own containers"});
  }
  auto options = checkpoint_options(request);
  if (!options) return refuse(call, {code_of(options.error().code), options.error().message});
  busy_with(
      "checkpointed", [this, options = *options] { return container_->checkpoint(options); },
      [this, call](const Result<>& done) {
        if (!done) return refuse(call, "checkpoint", done.error());
        answer(call);
      });
}

void Task::stats(const Call& call) {
  if (container_ == nullptr) return refuse(call, not_found("cgroup does not exist"));
  auto stats = container_->stats();
  if (!stats) return refuse(call, "stats", stats.error());
  pb::Writer response;
  response.bytes(1, wire::encode(encode_metrics(*stats)));
  answer(call, response.data());
}

}  // namespace davit::shim
