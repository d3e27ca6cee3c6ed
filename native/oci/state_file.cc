#include "native/oci/state_file.h"

#include <fcntl.h>
#include <unistd.h>

#include "native/kernel/file.h"
#include "native/kernel/process.h"
#include "native/oci/json.h"
#include "native/oci/json_text.h"
#include "native/oci/start_socket.h"

namespace davit::oci {
namespace {

constexpr const char* kName = "state.json";

Result<Fd> open_dir(const std::string& dir) {
  return kernel::open_at(AT_FDCWD, dir.c_str(), O_PATH | O_DIRECTORY);
}

}  // namespace

Result<> write_state(const std::string& dir, const StateFile& state) {
  std::string text =
      "{\"id\":" + json::quote(state.id) + ",\"bundle\":" + json::quote(state.bundle) +
      ",\"pid\":" + std::to_string(state.pid) +
      ",\"startTime\":" + std::to_string(state.start_time) +
      ",\"noNewKeyring\":" + (state.no_new_keyring ? "true" : "false") +
      (state.systemd_unit.empty() ? "" : ",\"systemdUnit\":" + json::quote(state.systemd_unit)) +
      (state.rdt.group.empty() ? ""
                               : ",\"rdtGroup\":" + json::quote(state.rdt.group) +
                                     ",\"rdtMonitor\":" + json::quote(state.rdt.monitor) +
                                     ",\"rdtOwned\":" + (state.rdt.owned ? "true" : "false")) +
      ",\"cgroups\":[";
  for (const std::string& one : state.cgroups) {
    if (text.back() != '[') text += ',';
    text += json::quote(one);
  }
  text += "]}\n";
  DAVIT_ASSIGN(Fd fd, open_dir(dir));
  return kernel::replace_file(fd.get(), kName, text, 0600);
}

Result<StateFile> read_state(const std::string& dir) {
  DAVIT_ASSIGN(std::string text, kernel::read_file(AT_FDCWD, (dir + '/' + kName).c_str()));
  DAVIT_ASSIGN(json::Document document, json::parse(text));
  json::At at{"state"};
  StateFile state;
  std::optional<std::int64_t> pid;
  std::optional<std::uint64_t> started;
  DAVIT_TRY(json::get(document, "id", at, state.id));
  DAVIT_TRY(json::get(document, "bundle", at, state.bundle));
  DAVIT_TRY(json::get(document, "pid", at, pid));
  DAVIT_TRY(json::get(document, "startTime", at, started));
  DAVIT_TRY(json::get(document, "noNewKeyring", at, state.no_new_keyring));
  DAVIT_TRY(json::get(document, "cgroups", at, state.cgroups));
  DAVIT_TRY(json::get(document, "systemdUnit", at, state.systemd_unit));
  DAVIT_TRY(json::get(document, "rdtGroup", at, state.rdt.group));
  DAVIT_TRY(json::get(document, "rdtMonitor", at, state.rdt.monitor));
  DAVIT_TRY(json::get(document, "rdtOwned", at, state.rdt.owned));
  state.pid = static_cast<pid_t>(pid.value_or(-1));
  state.start_time = started.value_or(0);
  return state;
}

Result<> remove_state(const std::string& dir) {
  DAVIT_ASSIGN(Fd fd, open_dir(dir));
  for (const char* name : {kName, kStartSocket, kKeptSpec})
    if (::unlinkat(fd.get(), name, 0) != 0 && errno != ENOENT)
      return fail_errno("remove \"" + dir + '/' + name + '"');
  return {};
}

Result<Fd> open_init(const StateFile& state) {
  if (state.pid <= 0) return fail(ESRCH, "container \"" + state.id + "\" has no process");
  DAVIT_ASSIGN(Fd pidfd, kernel::open_pidfd(state.pid));
  // After the descriptor is ours the number cannot change hands between this look and its use.
  auto started = kernel::start_time(state.pid);
  if (!started || *started != state.start_time)
    return fail(ESRCH, "container \"" + state.id + "\" has ended");
  return pidfd;
}

}  // namespace davit::oci
