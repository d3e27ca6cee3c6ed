// Standard input, output and error of one process of a container, from where the client asked for
// them to what the executor gives the process.
//
//   open -> ready -> (ends() to the executor) -> launched -> exited -> drain -> destroyed
//
// A FIFO's stream goes through a pipe that the shim pumps; a file and a logger are given to the
// process itself. With a terminal, its master is pumped. A logger runs until drain: the shim keeps
// the writing ends of its pipes.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>

#include "native/kernel/fd.h"
#include "native/kernel/result.h"
#include "native/oci/container.h"
#include "shim/loop/loop.h"
#include "shim/stdio/leftover.h"
#include "shim/stdio/logger.h"
#include "shim/stdio/pump.h"
#include "shim/wire/messages.h"

namespace davit::shim {

struct IoContext {
  std::string container_id;
  std::string namespace_;
  uid_t uid = 0;  // owner of the process's pipes, so that it may reopen /dev/stdout
  gid_t gid = 0;
};

class ProcessIo {
 public:
  explicit ProcessIo(Loop& loop) : loop_(loop) {}
  ~ProcessIo();

  // Opens everything; ready is called once, at once unless there is a logger to wait for. After a
  // failure the object is to be destroyed, which `ready` may do.
  void open(const IoContext& context, const wire::StdioPaths& paths,
            std::function<void(Result<>)> ready);
  // What the process gets; borrowed until launched().
  oci::Stdio ends() const;
  // The process has its ends; `console` is its terminal's master.
  Result<> launched(Fd console);
  // The client has sent all its input. Input already in the FIFO is still delivered.
  void close_stdin();
  Result<> resize(uint32_t width, uint32_t height);
  void exited();
  // Calls done once the output has been delivered, or can not be, or after 10 s.
  void drain(std::function<void()> done);
  // The logger's, or -1.
  pid_t logger_pid() const { return logger_ ? logger_->pid() : -1; }
  void logger_exited() { logger_->exited(); }

 private:
  struct Output {
    Fd sink;  // the FIFO, or with a terminal the file
    bool is_fifo = false;
    Fd reader;     // our end of the process's pipe
    Fd container;  // the process's end
    Pump pump;
    Leftover leftover;  // after the process's end, until a client comes
  };
  Result<> open_streams(const IoContext& context, const wire::StdioPaths& paths,
                        const std::function<void(Result<>)>& ready);
  Result<> open_input(const IoContext& context, const std::string& path);
  Result<> open_output(const IoContext& context, const StdioUri& uri, Output& output);
  Result<> start_pump(Output& output, int from);
  void output_ended(Output& output);
  void end_input();
  void drained();

  Loop& loop_;
  bool terminal_ = false;
  bool shared_file_ = false;  // stderr is stdout's file
  bool stdin_closed_ = false;
  Fd console_;
  Fd in_fifo_;
  Fd in_writer_;     // our end of the process's stdin pipe
  Fd in_container_;  // the process's end
  Pump in_pump_;
  Output out_;
  Output err_;
  std::unique_ptr<Logger> logger_;
  uint64_t timer_ = 0;
  std::function<void()> done_;
};

}  // namespace davit::shim
