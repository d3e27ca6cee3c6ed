// containerd-shim-davit-v1: containerd's runtime v2 shim with the executor inside.
//
// Started by a daemon as `... start`, it leaves one long-lived server behind, which runs one
// container, keeps its stdio, reports its events and outlives the daemon. docs/shim-protocol.md
// says what it answers to whom.
#include <cstdio>

#include "native/kernel/sealed_self.h"
#include "shim/action/actions.h"
#include "shim/fault.h"

// The server does, whose last argument is no action.
bool davit::kernel::enters_containers(int argc, char** argv) {
  constexpr char kActions[][8] = {"start", "delete", "-v", "-info"};
  for (const char* action : kActions) {
    int at = 0;
    while (action[at] != '\0' && action[at] == argv[argc - 1][at]) ++at;
    if (action[at] == argv[argc - 1][at]) return false;
  }
  return true;
}

int main(int argc, char** argv) {
  using namespace davit::shim;
  const auto args = parse_args(argc, argv);
  if (!args) {
    std::fprintf(stderr, "containerd-shim-davit-v1: %s\n", args.error().text().c_str());
    return 2;
  }
  fault::read_environment();
  if (args->version) return version_action();
  if (args->info) return info_action();
  if (args->action == "start") return start_action(*args, argv[0]);
  if (args->action == "delete") return delete_action(*args);
  if (args->action.empty()) return serve_action(*args, argv);
  std::fprintf(stderr, "containerd-shim-davit-v1: unknown action \"%s\"\n", args->action.c_str());
  return 2;
}
