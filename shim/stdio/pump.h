// Moves bytes from one descriptor to another inside the event loop, never blocking and never
// holding more than one small buffer: a slow reader holds up the writer, not the shim.
//
// Between pipes and FIFOs the bytes are spliced and do not enter the shim at all. With a terminal
// on one side they are read and written. The pump ends at end of file or when either side breaks;
// it then calls `ended` once and touches neither descriptor again. Descriptors are borrowed.
#pragma once

#include <functional>
#include <string>

#include "shim/loop/loop.h"

namespace davit::shim {

class Pump {
 public:
  enum class Mode { kSplice, kCopy };
  Result<> start(Loop& loop, int from, int to, Mode mode, std::function<void()> ended);
  void stop();
  bool running() const { return source_.running(); }
  // Goes on with another descriptor of the same pipe; to be called before the old one is closed.
  Result<> replace_source(int from);
  Result<> replace_target(int to);

 private:
  enum class Step { kMoved, kSourceEmpty, kTargetFull, kEnded };
  void turn();
  Step move();
  Step copy();
  Step flush();
  void wait(Step step);

  Loop* loop_ = nullptr;
  int from_ = -1;
  int to_ = -1;
  Mode mode_ = Mode::kSplice;
  bool blocked_ = false;
  Watch source_;
  Watch target_;
  std::string pending_;  // read but not yet written; kCopy only
  std::function<void()> ended_;
};

}  // namespace davit::shim
