// The command line that containerd gives a shim, in the form of Go's flag package.
#pragma once

#include <string>

#include "native/kernel/result.h"

namespace davit::shim {

struct Args {
  std::string namespace_;
  std::string id;
  std::string address;         // the daemon's gRPC socket
  std::string publish_binary;  // accepted, not used: events go to the daemon's ttrpc socket
  std::string socket;
  std::string bundle;
  bool debug = false;
  bool version = false;
  bool info = false;
  std::string action;  // "start", "delete" or "" = serve
};

// Accepts -flag value, -flag=value and two dashes; flags end at the first other argument.
Result<Args> parse_args(int argc, char** argv);

}  // namespace davit::shim
