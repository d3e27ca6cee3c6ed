#include "native/oci/state.h"

#include <fcntl.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>
#include <unistd.h>

#include "native/kernel/file.h"
#include "native/oci/json.h"

namespace davit::oci {
namespace {
constexpr char kFile[] = "state.json";
}

Result<> save_state(const std::string& dir, const SavedState& state) {
  rapidjson::StringBuffer buffer;
  rapidjson::Writer<rapidjson::StringBuffer> writer(buffer);
  writer.StartObject();
  writer.Key("id");
  writer.String(state.id);
  writer.Key("bundle");
  writer.String(state.bundle);
  writer.Key("pid");
  writer.Int(state.pid);
  writer.Key("startTime");
  writer.Uint64(state.start_time);
  writer.Key("noNewKeyring");
  writer.Bool(state.no_new_keyring);
  writer.Key("cgroups");
  writer.StartArray();
  for (const std::string& path : state.cgroups) writer.String(path);
  writer.EndArray();
  writer.EndObject();
  DAVIT_ASSIGN(Fd folder, kernel::open_at(AT_FDCWD, dir.c_str(), O_PATH | O_DIRECTORY));
  return kernel::replace_file(folder.get(), kFile, {buffer.GetString(), buffer.GetSize()}, 0600);
}

Result<SavedState> load_state(const std::string& dir) {
  DAVIT_ASSIGN(std::string text, kernel::read_file(AT_FDCWD, (dir + "/" + kFile).c_str()));
  DAVIT_ASSIGN(json::Document document, json::parse(text));
  SavedState state;
  std::optional<std::int64_t> pid;
  std::optional<std::uint64_t> start_time;
  json::At at{kFile};
  DAVIT_TRY(json::get(document, "id", at, state.id));
  DAVIT_TRY(json::get(document, "bundle", at, state.bundle));
  DAVIT_TRY(json::get(document, "pid", at, pid));
  DAVIT_TRY(json::get(document, "startTime", at, start_time));
  DAVIT_TRY(json::get(document, "noNewKeyring", at, state.no_new_keyring));
  DAVIT_TRY(json::get(document, "cgroups", at, state.cgroups));
  state.pid = static_cast<pid_t>(pid.value_or(0));
  state.start_time = start_time.value_or(0);
  return state;
}

void remove_state(const std::string& dir) {
  (void)::unlink((dir + "/" + kFile).c_str());
}

}  // namespace davit::oci
