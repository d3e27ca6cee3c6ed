// What a Container knows; private to container.cc and checkpoint/.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "native/oci/cgroup/cgroup.h"
#include "native/oci/container.h"
#include "native/oci/hooks.h"
#include "native/oci/spec.h"
#include "native/oci/state_file.h"
#include "native/oci/systemd/scope.h"

namespace davit::oci {

struct Container::State {
  CreateOptions options;
  StateFile file;
  std::string state_dir;
  Fd pidfd, console;
  Fd socket;  // to init until it is started
  std::vector<std::string> warnings;
  Cgroup cgroup;
  // What is left of the spec when the container runs.
  int namespaces = 0;
  bool joins_pid = false;
  std::optional<SeccompFilter> seccomp;
  std::optional<std::uint64_t> personality;
  std::optional<MemoryPolicy> memory_policy;
  HookState hook_state;
  std::vector<Hook> poststart, poststop;
  bool has_start_hooks = false;

  bool restored = false;  // start() lets it go on

  // Begins the cgroup of the spec, and its names for state.json. With systemd's scope, which is to
  // be held until init is inside.
  Result<std::optional<Scope>> begin_cgroup(const Spec& spec);
  // What is needed of the spec from here on.
  void keep(Spec& spec);
};

std::string config_path(const std::string& bundle);
Result<std::string> read_config(const std::string& path);
Result<Spec> parse_config(const std::string& path, const std::string& text);

// What the container was created from: a later change of its bundle is not for it.
Result<Spec> read_kept_spec(const StateFile& state, const std::string& state_dir);
Result<> keep_spec(const std::string& state_dir, const std::string& text);

// A JSON object, or empty where nobody will read it.
std::string annotations_json(const Spec& spec);

}  // namespace davit::oci
