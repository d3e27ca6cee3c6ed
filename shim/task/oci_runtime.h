// Another OCI runtime (runc, crun) in the executor's place, as BinaryName of the options asks for.
//
// It creates, starts, executes and deletes through its command line. In between its container is a
// container like the executor's own: a process and cgroups, which state.json names.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "native/oci/container.h"

namespace davit::shim {

struct RuntimeChoice {
  std::string binary;  // a path, or a name in PATH
  std::string root;    // "" = in the bundle
  bool systemd_cgroup = false;
};

class OciRuntime {
 public:
  OciRuntime(RuntimeChoice choice, std::string id, std::string bundle);
  // The one that the bundle's container was created with, if it was.
  static std::optional<OciRuntime> of(const std::string& bundle, const std::string& id);

  // Waits as the executor does: see kernel/wait.h. `console` gets the terminal's master.
  Result<std::unique_ptr<oci::Container>> create(const oci::CreateOptions& options, bool terminal,
                                                 Fd& console);
  Result<> start();
  Result<oci::Process> exec(std::string_view process, const oci::Stdio& stdio, bool terminal);
  // Ends what is left, runs its poststop hooks, forgets it.
  Result<> remove();

 private:
  using Words = std::vector<std::string>;
  Result<> run(Words words, const oci::Stdio& stdio);
  Result<pid_t> launch(Words words, const std::string& id, const oci::Stdio& stdio, bool terminal,
                       Fd& console);
  std::string scratch(const char* ending);

  RuntimeChoice choice_;
  std::string id_;
  std::string bundle_;
  unsigned runs_ = 0;
};

}  // namespace davit::shim
