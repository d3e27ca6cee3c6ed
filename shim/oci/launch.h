// What create, run and exec share: descriptors handed on, terminals, pid files.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "native/kernel/fd.h"
#include "native/kernel/result.h"
#include "shim/oci/commands.h"

namespace davit::oci_cli {

// Descriptors from 3 on that the program gets: --preserve-fds and those that a socket activator
// passed to us. `env` gets what tells the program of the latter.
Result<int> passed_descriptors(const Options& options, std::vector<std::string>& env);

// Refuses what --console-socket and --detach cannot do together with the process's terminal.
Result<> check_terminal(bool terminal, bool detached, const Options& options);

Result<Fd> connect_console_socket(const std::string& path);
Result<> send_console(int socket, int master);

// By rename: a reader sees no pid or all of it.
Result<> write_pid_file(const std::string& path, pid_t pid);

// Attends a process that is not detached, until it ends: hands it our signals and, with `master`,
// our terminal. Returns what a shell would as its exit code.
class Foreground {
 public:
  // From here on signals are kept for attend(). `subreaper`: also reaps orphans.
  explicit Foreground(bool subreaper);
  ~Foreground();
  Foreground(const Foreground&) = delete;
  Foreground& operator=(const Foreground&) = delete;
  Result<int> attend(pid_t pid, Fd master);

 private:
  Result<bool> on_signals(pid_t pid, int master, int& status);
  Fd signals_;
};

}  // namespace davit::oci_cli
