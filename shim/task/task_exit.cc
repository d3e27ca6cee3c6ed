// The end of a task's processes: exits, their order, out-of-memory kills, deletion.
#include <signal.h>
#include <sys/epoll.h>

#include <algorithm>
#include <utility>

#include "native/kernel/pb.h"
#include "shim/fault.h"
#include "shim/log.h"
#include "shim/task/rootfs.h"
#include "shim/task/task.h"

namespace davit::shim {

namespace {

// How long init's exit is held back for execs that were killed but are not reaped yet.
constexpr int64_t kExecExitTime = 5000;
// After a deletion, until the file system of its rootfs is made to end.
constexpr int64_t kDetachTime = 50;
constexpr int64_t kFirstOomLook = 10;
constexpr int64_t kLastOomLook = 1000;

}  // namespace

void Task::watch_oom() {
  auto watch = container_->oom_watch();
  if (!watch) return log("out-of-memory watch: " + watch.error().text());
  oom_ = std::move(*watch);
  auto started = oom_watch_.start(host_.loop, oom_.fd.get(), EPOLLIN,
                                  [this](uint32_t) { check_oom(kFirstOomLook); });
  if (!started) log(started.error().text());
}

// Cgroup v1 gives notice before the kill is counted: with `again` the count is looked at again
// after so many milliseconds, a few times.
void Task::check_oom(int64_t again) {
  host_.loop.cancel(std::exchange(oom_timer_, 0));
  if (!oom_.fd) return;
  const auto kills = oom_.read();
  if (!kills) {
    // The cgroup is going away.
    oom_watch_.stop();
    return;
  }
  if (*kills <= oom_kills_) {
    if (again == 0 || again > kLastOomLook) return;
    oom_timer_ = host_.loop.after(again, [this, again] { check_oom(again * 4); });
    return;
  }
  oom_kills_ = *kills;
  pb::Writer event;
  event.text(1, id());
  host_.events.publish("/tasks/oom", "containerd.events.TaskOOM", event.data());
}

void Task::children(std::vector<pid_t>& out) const {
  const auto add = [&out](const Process& process) {
    if (process.pid > 0 && process.phase < Phase::kStopped) out.push_back(process.pid);
    if (process.io && process.io->logger_pid() > 0) out.push_back(process.io->logger_pid());
  };
  add(init_);
  for (const auto& [exec_id, exec] : execs_) add(exec);
}

bool Task::exited(const Exit& exit) {
  if (exit.pid == init_.pid && init_.pid > 0) {
    init_exited(exit);
    return true;
  }
  if (init_.io && init_.io->logger_pid() == exit.pid) {
    init_.io->logger_exited();
    return true;
  }
  for (auto& [exec_id, exec] : execs_) {
    if (exec.io && exec.io->logger_pid() == exit.pid) {
      exec.io->logger_exited();
      return true;
    }
    if (exec.pid != exit.pid || exec.phase == Phase::kStopped) continue;
    finish(exec, exit);
    if (init_exit_) settle_init_exit();
    return true;
  }
  return false;
}

// Where the pid namespace is shared, what init leaves behind lives on: it is killed, and init's
// exit is told after the execs' exits.
void Task::init_exited(const Exit& exit) {
  if (init_.phase == Phase::kStopped || init_exit_) return;
  auto recorded = fault::at("shim.exit.before-status");
  if (recorded) recorded = write_exit_record(request_.bundle, exit);
  if (!recorded) log("record the exit status: " + recorded.error().text());
  check_oom(0);
  oom_watch_.stop();
  oom_ = {};
  const auto left = container_->pids();
  if (left && !left->empty()) {
    if (auto killed = container_->kill_all(SIGKILL); !killed) log(killed.error().text());
  }
  init_exit_ = exit;
  settle_init_exit();
}

void Task::settle_init_exit() {
  // First its start is told, which its poststart hooks may hold up.
  if (init_.phase == Phase::kStarting) return;
  const bool execs_left =
      host_.fibers.busy(this) || std::ranges::any_of(execs_, [](const auto& entry) {
        return entry.second.phase == Phase::kRunning;
      });
  if (execs_left) {
    if (exit_timer_ != 0) return;
    exit_timer_ = host_.loop.after(kExecExitTime, [this] {
      exit_timer_ = 0;
      finish(init_, *std::exchange(init_exit_, std::nullopt));
    });
    return;
  }
  host_.loop.cancel(std::exchange(exit_timer_, 0));
  finish(init_, *std::exchange(init_exit_, std::nullopt));
}

void Task::finish(Process& process, const Exit& exit) {
  process.phase = Phase::kStopped;
  process.exit_status = exit.status;
  process.exited_at = exit.at;
  process.pidfd.reset();
  if (process.io) process.io->exited();
  pb::Writer event;
  event.text(1, id());
  event.text(2, process.is_exec() ? process.exec_id : id());
  event.varint(3, static_cast<uint32_t>(process.pid));
  event.varint(4, process.exit_status);
  event.bytes(5, wire::encode(process.exited_at));
  if (fault::at("shim.exit.before-event")) {
    host_.events.publish("/tasks/exit", "containerd.events.TaskExit", event.data());
  }
  const std::string payload = wire::encode_wait(process.exit_status, process.exited_at);
  for (const Call& call : std::exchange(process.waiters, {})) answer(call, payload);
  if (const auto deleter = std::exchange(process.deleter, std::nullopt)) {
    remove_now(*deleter, process);
  }
}

void Task::remove(const Call& call, const std::string& exec_id) {
  Process* process = find(call, exec_id, Operation::kDelete);
  if (process == nullptr) return;
  if (process->phase == Phase::kStopped || process->is_exec()) return remove_now(call, *process);
  // A created init has a process, which has to go first.
  if (process->deleter) return refuse(call, failed_precondition("task is being deleted"));
  if (auto killed = container_->kill(SIGKILL); !killed && killed.error().code != ESRCH) {
    return refuse(call, "kill", killed.error());
  }
  process->deleter = call;
}

void Task::remove_now(const Call& call, Process& process) {
  process.phase = Phase::kDeleting;
  const auto done = [this, call, exec_id = process.exec_id] { removed(call, exec_id); };
  if (process.io == nullptr) return done();
  process.io->drain(done);
}

void Task::removed(const Call& call, const std::string& exec_id) {
  Process& process = exec_id.empty() ? init_ : execs_.at(exec_id);
  const auto pid = static_cast<uint32_t>(process.pid);
  const std::string payload = wire::encode_delete(pid, process.exit_status, process.exited_at);
  if (process.is_exec()) {
    const std::string waited = wire::encode_wait(process.exit_status, process.exited_at);
    for (const Call& waiter : process.waiters) answer(waiter, waited);
    answer(call, payload);
    execs_.erase(exec_id);
    return;
  }
  for (auto& [name, exec] : execs_) {
    if (exec.starter) exec.waiters.push_back(*exec.starter);
    for (const Call& waiter : exec.waiters) {
      refuse(waiter, not_found("process does not exist " + name));
    }
  }
  if (auto faulty = fault::at("shim.delete.before-unmount"); !faulty) {
    process.phase = Phase::kStopped;
    return refuse(call, "delete", faulty.error());
  }
  host_.fibers.cancel(this);
  host_.fibers.start(this, [this] { destroy_container(); }, [this, call] { init_removed(call); });
}

void Task::init_removed(const Call& call) {
  detach_rootfs();
  (void)fault::at("shim.delete.after-unmount");
  const auto pid = static_cast<uint32_t>(init_.pid);
  pb::Writer event;
  event.text(1, id());
  event.varint(2, pid);
  event.varint(3, init_.exit_status);
  event.bytes(4, wire::encode(init_.exited_at));
  host_.events.publish("/tasks/delete", "containerd.events.TaskDelete", event.data());
  if (auto faulty = fault::at("shim.delete.before-answer")) {
    answer(call, wire::encode_delete(pid, init_.exit_status, init_.exited_at));
  } else {
    refuse(call, "delete", faulty.error());
  }
  gone_();
}

// These go on past failures: a container that cannot be deleted helps nobody, and what is left
// behind is in the log.
void Task::destroy_container() {
  if (container_ == nullptr) return;
  const auto destroyed = runtime_ ? runtime_->remove() : container_->destroy();
  if (!destroyed) {
    log("delete container: " + destroyed.error().text());
  }
  container_.reset();
}

void Task::detach_rootfs() {
  if (rootfs_.empty()) return;
  auto detached = rootfs::detach(rootfs_);
  rootfs_.clear();
  if (!detached) return log(detached.error().text());
  // After the answer, or with the shim's own end when that comes first.
  auto last = std::make_shared<Fd>(std::move(*detached));
  host_.loop.after(kDetachTime, [last] { last->reset(); });
}

void Task::release() {
  destroy_container();
  detach_rootfs();
}

void Task::kill_everything() {
  host_.fibers.cancel(this);
  if (!alive()) return;
  (void)container_->kill_all(SIGKILL);
  (void)container_->kill(SIGKILL);
}

}  // namespace davit::shim
