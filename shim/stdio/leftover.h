// What a process has written into a FIFO and nobody has read, after its end.
//
// Bytes in a FIFO live as long as some end of it is open, and a reader meets end of file when no
// writing end is. So a writing end is kept until a client comes to read, and not a moment longer:
// a client that opens the FIFO reads what is there, and then its end.
#pragma once

#include "native/kernel/fd.h"
#include "shim/loop/loop.h"

namespace davit::shim {

class Leftover {
 public:
  // `fifo` is an output's read-write end. It is closed: at once where a client has the FIFO open or
  // nothing is in it.
  void keep(Loop& loop, Fd fifo);
  void drop();
  bool kept() const { return static_cast<bool>(writer_); }

 private:
  bool needed() const;
  void opened();

  Fd writer_;
  Fd opens_;  // an inotify descriptor
  Watch watch_;
};

}  // namespace davit::shim
