// Named FIFOs between a client and the shim.
//
// The shim opens one read-write, which never waits and which keeps the FIFO alive while clients
// come and go: no SIGPIPE for output that nobody reads, no end of input because a client detached.
#pragma once

#include <string>

#include "native/kernel/fd.h"
#include "native/kernel/result.h"

namespace davit::shim::fifo {

struct Opened {
  Fd fd;
  bool is_fifo = false;  // false: a file or device at that path, to be used as it is
};

// An output: a FIFO read-write and non-blocking, anything else write-only and appending.
Result<Opened> open_output(const std::string& path);
// An input: a FIFO read-write and non-blocking, anything else read-only.
Result<Opened> open_input(const std::string& path);

// The same FIFO through an end that reads only: end of file comes when the clients have left.
Result<Fd> reading_end(const Fd& fd);
// The same FIFO through an end that writes only: it breaks when the clients have left.
Result<Fd> writing_end(const Fd& fd);
// Whether no client has the FIFO open, asked of a writing end.
bool abandoned(const Fd& writing_end);

}  // namespace davit::shim::fifo
