// The Task service, containerd.task.v2 and v3: finds the task a request is about.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "shim/task/task.h"

namespace davit::shim {

class Service {
 public:
  Service(Loop& loop, Server& server, Publisher& events, std::string namespace_)
      : fibers_(loop, [this] { reap(); }),
        host_{loop, fibers_, server, events, std::move(namespace_)} {}

  void handle(const Call& call, const ttrpc::Request& request);
  // Reaps every child that has ended and tells the tasks, execs before inits.
  void reap();
  bool idle() const { return tasks_.empty(); }

 private:
  struct Method;
  static const Method* find_method(std::string_view name);

  void create(const Call& call, std::string_view payload);
  void exec(const Call& call, std::string_view payload);
  void update(const Call& call, std::string_view payload);
  void checkpoint(const Call& call, std::string_view payload);
  void connect(const Call& call, const wire::ProcessRequest& request);
  void shutdown(const Call& call, const wire::ProcessRequest& request);
  void leave_when_quiet();
  void leave();
  bool is_init(pid_t pid) const;
  void tell(const Exit& exit);
  void refuse(const Call& call, const ttrpc::Status& status);
  Task* find(const Call& call, const std::string& id);

  Fibers fibers_;
  Host host_;
  std::map<std::string, std::unique_ptr<Task>> tasks_;
  bool leaving_ = false;  // told to go at once; the containers are being killed
};

}  // namespace davit::shim
