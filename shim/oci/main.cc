// davit-oci: runc's command line over davit's executor, for whoever drives OCI runtimes: podman,
// CRI-O, dockerd, containerd's runc shim, a person. docs/davit-oci.md says what it promises.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "native/kernel/sealed_self.h"
#include "native/kernel/trace.h"
#include "shim/oci/commands.h"
#include "shim/oci/log.h"
#include "shim/oci/store.h"
#include "shim/version.h"

namespace davit::oci_cli {
namespace {

constexpr char kProgram[] = "davit-oci";
constexpr char kTrace[] = "DAVIT_OCI_TRACE";  // 1, or when the first of us began
constexpr char kSpecVersion[] = "1.3.0";

void print(const std::string& text) {
  ::fwrite(text.data(), 1, text.size(), stdout);
}

// Whoever closed a standard stream must not get a file of ours in its place.
void open_standard_streams() {
  for (int fd = 0; fd < 3; fd++)
    if (::fcntl(fd, F_GETFD) < 0) (void)!::open("/dev/null", O_RDWR);
}

std::string default_root() {
  const char* user_dir = ::getenv("XDG_RUNTIME_DIR");
  if (::geteuid() != 0 && user_dir != nullptr) return std::string(user_dir) + '/' + kProgram;
  return std::string("/run/") + kProgram;
}

// A container may reach the file that its processes come from through /proc/self/exe: they come
// from one that nobody can write.
Result<> run_sealed(char** argv) {
  if (trace::page != nullptr) ::setenv(kTrace, std::to_string(trace::begun_ns()).c_str(), 1);
  DAVIT_TRY(kernel::run_sealed(argv));
  ::prctl(PR_SET_NAME, kProgram);
  return {};
}

const Command* find_command(const std::string& name) {
  for (const Command& command : commands())
    if (name == command.name) return &command;
  return nullptr;
}

int misused(const Command& command, const std::string& usage, const std::string& text) {
  print(usage + "\n\n" + help_text(command));
  log_error(text);
  return 1;
}

std::string wrong_count(const Command& command) {
  std::string want = command.least == command.most ? "exactly " + std::to_string(command.least)
                     : command.most < 0            ? "at least " + std::to_string(command.least)
                                        : "between " + std::to_string(command.least) + " and " +
                                              std::to_string(command.most);
  return std::string(kProgram) + ": \"" + command.name + "\" requires " + want + " argument(s)";
}

Result<Globals> read_globals(const Options& options) {
  std::string format = options.get("log-format");
  if (!format.empty() && format != "text" && format != "json")
    return fail(0, "invalid log-format: " + format);
  DAVIT_TRY(open_log(options.get("log"), format == "json", options.has("debug")));
  Globals globals;
  globals.root = options.has("root") ? absolute(options.get("root")) : default_root();
  globals.criu = options.has("criu") ? options.get("criu") : "criu";
  globals.systemd_cgroup = options.has("systemd-cgroup");
  if (globals.systemd_cgroup && ::access("/run/systemd/system", F_OK) != 0)
    return fail(0, "systemd not running on this host, cannot use systemd cgroups manager");
  return globals;
}

int run_one(const Command& command, const Globals& globals, std::span<const std::string> words) {
  auto line = parse_line(words, command.flags, command.flags_anywhere);
  if (!line)
    return misused(command, "Incorrect Usage: " + line.error().message, line.error().message);
  if (line->options.has("help")) {
    print(help_text(command));
    return 0;
  }
  int count = static_cast<int>(line->args.size());
  if (count < command.least || (command.most >= 0 && count > command.most))
    return misused(command, "Incorrect Usage.", wrong_count(command));
  auto code = command.run({globals, std::move(line->options), std::move(line->args)});
  if (code) return *code;
  std::string context = command.failure;
  if (command.run != exec_command && !context.empty())
    context = std::string(kProgram) + ' ' + context;
  log_error(context + code.error().text());
  return command.failure_code;
}

int run(int argc, char** argv) {
  std::vector<std::string> words(argv + 1, argv + argc);
  auto line = parse_line(words, global_flags(), false);
  if (!line) {
    print("Incorrect Usage. " + line.error().message + "\n\n" + help_text());
    log_error(line.error().message);
    return 1;
  }
  const Options& options = line->options;
  if (options.has("version")) {
    print(std::string(kProgram) + " version " + shim::kVersion + "\ncommit: " + shim::kRevision +
          "\nspec: " + kSpecVersion + '\n');
    return 0;
  }
  if (line->args.empty() || options.has("help") || line->args[0] == "help") {
    print(help_text());
    return 0;
  }
  if (const char* wanted = ::getenv(kTrace); wanted != nullptr && *wanted != 0)
    (void)trace::begin(parse_integer(wanted).value_or(0) > 1 ? *parse_integer(wanted) : 0);
  else if (options.has("trace"))
    (void)trace::begin();
  auto globals = read_globals(options);
  if (!globals) {
    log_error(globals.error().text());
    return 1;
  }
  const Command* command = find_command(line->args[0]);
  if (command == nullptr) {
    log_error("No help topic for '" + line->args[0] + "'");
    return 3;
  }
  bool enters = command->run == create_command || command->run == run_command ||
                command->run == exec_command || command->run == restore_command;
  if (enters) {
    if (auto sealed = run_sealed(argv); !sealed) {
      log_error(sealed.error().text());
      return 1;
    }
    trace::mark("running from a sealed file");
  }
  int code = run_one(*command, *globals, std::span(line->args).subspan(1));
  trace::print(STDERR_FILENO);
  return code;
}

}  // namespace
}  // namespace davit::oci_cli

// Any of the words anywhere: sealing for nothing does no harm, and run_sealed looks again.
bool davit::kernel::enters_containers(int argc, char** argv) {
  constexpr char kCommands[][8] = {"create", "run", "exec", "restore"};
  for (const char* command : kCommands)
    for (int i = 1; i < argc; ++i) {
      int at = 0;
      while (command[at] != '\0' && command[at] == argv[i][at]) ++at;
      if (command[at] == argv[i][at]) return true;
    }
  return false;
}

int main(int argc, char** argv) {
  davit::oci_cli::open_standard_streams();
  return davit::oci_cli::run(argc, argv);
}
