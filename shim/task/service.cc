#include "shim/task/service.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "shim/version.h"

namespace davit::shim {

using ttrpc::Code;
using ttrpc::Status;
using wire::ProcessRequest;
using wire::Shape;

namespace {

// Events that are still queued get this long before a shim that was told to go is gone.
constexpr int64_t kFlushTime = 2000;
// How long it waits for the ends of the containers that it has killed.
constexpr int64_t kKillTime = 2000;

const Status kMalformed{Code::kInvalidArgument, "malformed request"};

Exit to_exit(const siginfo_t& info) {
  const auto value = static_cast<uint32_t>(info.si_status);
  const bool by_signal = info.si_code != CLD_EXITED;
  return {info.si_pid, by_signal ? 128 + value : value, wire::Timestamp::now()};
}

}  // namespace

// Methods whose request is a few scalars. Those with a request of their own are in handle().
struct Service::Method {
  std::string_view name;
  Shape shape;
  void (*run)(Task& task, const Call& call, const ProcessRequest& request);
};

const Service::Method* Service::find_method(std::string_view name) {
  static constexpr Method kMethods[] = {
      {"State", Shape::kProcess, [](auto& t, auto& c, auto& r) { t.state(c, r.exec_id); }},
      {"Start", Shape::kProcess, [](auto& t, auto& c, auto& r) { t.start(c, r.exec_id); }},
      {"Delete", Shape::kProcess, [](auto& t, auto& c, auto& r) { t.remove(c, r.exec_id); }},
      {"Wait", Shape::kProcess, [](auto& t, auto& c, auto& r) { t.wait(c, r.exec_id); }},
      {"Kill", Shape::kKill, [](auto& t, auto& c, auto& r) { t.kill(c, r); }},
      {"ResizePty", Shape::kResize, [](auto& t, auto& c, auto& r) { t.resize(c, r); }},
      {"CloseIO", Shape::kCloseIo, [](auto& t, auto& c, auto& r) { t.close_io(c, r); }},
      {"Pids", Shape::kId, [](auto& t, auto& c, auto&) { t.pids(c); }},
      {"Pause", Shape::kId, [](auto& t, auto& c, auto&) { t.pause(c); }},
      {"Resume", Shape::kId, [](auto& t, auto& c, auto&) { t.resume(c); }},
      {"Stats", Shape::kId, [](auto& t, auto& c, auto&) { t.stats(c); }},
  };
  for (const Method& method : kMethods) {
    if (method.name == name) return &method;
  }
  return nullptr;
}

void Service::refuse(const Call& call, const Status& status) {
  host_.server.reply(call, status, {});
}

Task* Service::find(const Call& call, const std::string& id) {
  const auto found = tasks_.find(id);
  if (found != tasks_.end()) return found->second.get();
  refuse(call, not_found("container not created"));
  return nullptr;
}

void Service::handle(const Call& call, const ttrpc::Request& request) {
  if (request.service != "containerd.task.v2.Task" &&
      request.service != "containerd.task.v3.Task") {
    return refuse(call, {Code::kUnimplemented, "service " + std::string(request.service)});
  }
  if (request.method == "Create") return create(call, request.payload);
  if (request.method == "Exec") return exec(call, request.payload);
  if (request.method == "Update") return update(call, request.payload);
  if (request.method == "Checkpoint") return checkpoint(call, request.payload);
  ProcessRequest scalars;
  const bool connecting = request.method == "Connect";
  if (connecting || request.method == "Shutdown") {
    const Shape shape = connecting ? Shape::kId : Shape::kShutdown;
    if (!wire::decode(request.payload, shape, scalars)) return refuse(call, kMalformed);
    return connecting ? connect(call, scalars) : shutdown(call, scalars);
  }
  const Method* method = find_method(request.method);
  if (method == nullptr) {
    return refuse(call, {Code::kUnimplemented, "method " + std::string(request.method)});
  }
  if (!wire::decode(request.payload, method->shape, scalars)) return refuse(call, kMalformed);
  if (Task* task = find(call, scalars.id)) method->run(*task, call, scalars);
}

void Service::create(const Call& call, std::string_view payload) {
  wire::CreateTaskRequest request;
  if (!wire::decode(payload, request)) return refuse(call, kMalformed);
  if (request.id.empty()) return refuse(call, {Code::kInvalidArgument, "task id is required"});
  if (!request.bundle.starts_with('/')) {
    return refuse(call, {Code::kInvalidArgument,
                         "bundle \"" + request.bundle + "\": must be an absolute path"});
  }
  if (leaving_) return refuse(call, {Code::kUnavailable, "the shim is shutting down"});
  const std::string id = request.id;
  if (tasks_.contains(id)) return refuse(call, already_exists("container " + id));
  const auto gone = [this, id] {
    // The task may be in the middle of the request that ended it.
    auto node = tasks_.extract(id);
    if (node) host_.loop.defer([task = std::shared_ptr<Task>(std::move(node.mapped()))] {});
  };
  auto& task = tasks_[id] = std::make_unique<Task>(host_, std::move(request), gone);
  task->create(call);
}

void Service::exec(const Call& call, std::string_view payload) {
  wire::ExecProcessRequest request;
  if (!wire::decode(payload, request)) return refuse(call, kMalformed);
  if (Task* task = find(call, request.id)) task->exec(call, std::move(request));
}

void Service::update(const Call& call, std::string_view payload) {
  wire::UpdateTaskRequest request;
  if (!wire::decode(payload, request)) return refuse(call, kMalformed);
  if (Task* task = find(call, request.id)) task->update(call, request.resources.value);
}

void Service::checkpoint(const Call& call, std::string_view payload) {
  wire::CheckpointTaskRequest request;
  if (!wire::decode(payload, request)) return refuse(call, kMalformed);
  if (Task* task = find(call, request.id)) task->checkpoint(call, request);
}

void Service::connect(const Call& call, const ProcessRequest& request) {
  // Also without a task: the daemon asks so whether a shim is there.
  const auto found = tasks_.find(request.id);
  const pid_t pid = found == tasks_.end() ? 0 : found->second->pid();
  host_.server.reply(call, {},
                     wire::encode_connect(static_cast<uint32_t>(::getpid()),
                                          static_cast<uint32_t>(pid), kVersion));
}

void Service::shutdown(const Call& call, const ProcessRequest& request) {
  const bool leaves = tasks_.empty() || request.now;
  // Before the answer: the daemon may start the next shim of this name as soon as it has it.
  if (leaves) host_.server.stop_accepting();
  host_.server.reply(call, {}, {});
  if (!leaves || leaving_) return;
  leaving_ = true;
  // A task that was being created is gone from the map by this.
  std::vector<Task*> all;
  for (auto& [id, task] : tasks_) all.push_back(task.get());
  for (Task* task : all) task->kill_everything();
  host_.loop.after(kKillTime, [this] { leave(); });
  leave_when_quiet();
}

void Service::leave_when_quiet() {
  const bool quiet = std::ranges::none_of(tasks_, [](const auto& t) { return t.second->alive(); });
  if (leaving_ && quiet) leave();
}

void Service::leave() {
  for (auto& [id, task] : tasks_) task->release();
  host_.events.flush(kFlushTime, [this] { host_.loop.quit(); });
}

void Service::reap() {
  std::vector<Exit> exits;
  const auto collect = [&exits](idtype_t kind, pid_t pid) {
    for (;;) {
      siginfo_t info{};
      const int got = ::waitid(kind, static_cast<id_t>(pid), &info, WEXITED | WNOHANG);
      if (got != 0 || info.si_pid == 0) return;
      exits.push_back(to_exit(info));
    }
  };
  if (fibers_.busy()) {
    // A child that is nobody's yet may be one that a fiber has started and waits for.
    std::vector<pid_t> known;
    for (const auto& [id, task] : tasks_) task->children(known);
    for (const pid_t pid : known) collect(P_PID, pid);
  } else {
    collect(P_ALL, 0);
  }
  for (const bool inits : {false, true}) {
    for (const Exit& exit : exits) {
      if (is_init(exit.pid) == inits) tell(exit);
    }
  }
  leave_when_quiet();
}

bool Service::is_init(pid_t pid) const {
  return std::ranges::any_of(tasks_,
                             [pid](const auto& entry) { return entry.second->pid() == pid; });
}

void Service::tell(const Exit& exit) {
  // Handling an exit may end its task; who is nobody's was an orphan of some container.
  for (auto& [id, task] : tasks_) {
    if (task->exited(exit)) return;
  }
}

}  // namespace davit::shim
