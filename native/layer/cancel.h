// Cancel: how whoever started a long operation asks it to stop.
//
// Every loop in this folder that can run long polls it; the operation then fails with ECANCELED.
#pragma once

#include <atomic>

#include "native/kernel/result.h"

namespace davit::layer {

class Cancel {
 public:
  void request() { requested_.store(true, std::memory_order_relaxed); }
  bool requested() const { return requested_.load(std::memory_order_relaxed); }

  // Fails with ECANCELED once requested.
  Result<> check() const {
    if (requested()) return fail(ECANCELED, "cancelled");
    return {};
  }

 private:
  std::atomic<bool> requested_ = false;
};

}  // namespace davit::layer
