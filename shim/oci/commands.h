// The commands of davit-oci: one function each, found through the table.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "native/kernel/result.h"
#include "shim/oci/flags.h"

namespace davit::oci_cli {

struct Globals {
  std::string root;
  std::string criu;
  bool systemd_cgroup = false;
};

struct Call {
  Globals globals;
  Options options;
  std::vector<std::string> args;
  const std::string& id() const { return args.front(); }
};

struct Command {
  const char* name;
  const char* arguments;  // as the usage line shows them
  const char* about;
  int least, most;  // arguments; most -1: any number
  std::span<const Flag> flags;
  Result<int> (*run)(const Call& call);  // the exit code
  bool flags_anywhere = true;            // not where arguments are another program's
  const char* failure = "";              // what stands before the text of a failure
  int failure_code = 1;
};

std::span<const Command> commands();
std::span<const Flag> global_flags();
std::string help_text();
std::string help_text(const Command& command);

Result<int> create_command(const Call& call);
Result<int> run_command(const Call& call);
Result<int> start_command(const Call& call);
Result<int> exec_command(const Call& call);
Result<int> kill_command(const Call& call);
Result<int> delete_command(const Call& call);
Result<int> pause_command(const Call& call);
Result<int> resume_command(const Call& call);
Result<int> state_command(const Call& call);
Result<int> list_command(const Call& call);
Result<int> ps_command(const Call& call);
Result<int> events_command(const Call& call);
Result<int> update_command(const Call& call);
Result<int> checkpoint_command(const Call& call);
Result<int> restore_command(const Call& call);
Result<int> spec_command(const Call& call);
Result<int> features_command(const Call& call);

}  // namespace davit::oci_cli
