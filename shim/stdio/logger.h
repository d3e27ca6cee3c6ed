// A logging program (binary:// and binary-v2://) beside one process of a container.
//
// It reads the process's output itself, from descriptors 3 (stdout) and 4 (stderr), and says on 5
// that it is ready: by closing it, or for binary-v2 only by a byte. The shim keeps the read ends
// too, so that a logger's death does not kill the container by SIGPIPE; what nobody reads any more
// is then thrown away.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "native/kernel/fd.h"
#include "native/kernel/result.h"
#include "shim/loop/loop.h"
#include "shim/stdio/pump.h"
#include "shim/stdio/uri.h"

namespace davit::shim {

struct LoggerSpec {
  StdioUri uri;
  std::string container_id;
  std::string namespace_;
};

class Logger {
 public:
  ~Logger();
  // Starts the program; ready(result) is called once, within 10 s: it is ready, or it failed.
  Result<> start(Loop& loop, const LoggerSpec& spec, std::function<void(Result<>)> ready);

  // The ends that the container writes to; the caller closes them when the container has its own.
  Fd out;
  Fd err;

  pid_t pid() const { return pid_; }
  // The loop's owner has reaped it.
  void exited();
  // Its process has ended: lets the logger read what is left, then asks it to end, then makes it.
  // done() is called once when it has gone.
  void finish(std::function<void()> done);

 private:
  void became_ready(Result<> result);
  void await_empty(int64_t until);
  void terminate();
  bool unread() const;
  void discard();

  Loop* loop_ = nullptr;
  bool v2_ = false;
  pid_t pid_ = -1;
  Fd out_reader_;
  Fd err_reader_;
  Fd ready_pipe_;
  Fd null_;
  Watch ready_watch_;
  Pump discard_out_;
  Pump discard_err_;
  uint64_t timer_ = 0;
  std::function<void(Result<>)> ready_;
  std::function<void()> done_;
};

}  // namespace davit::shim
