// update.
#include <fcntl.h>

#include "native/kernel/file.h"
#include "native/oci/container.h"
#include "native/oci/json_text.h"
#include "shim/oci/commands.h"
#include "shim/oci/store.h"

namespace davit::oci_cli {
namespace {

struct Member {
  const char* flag;
  const char* group;  // of linux.resources
  const char* name;
  enum { kNumber, kBytes, kText } kind;
};
constexpr Member kMembers[] = {
    {"blkio-weight", "blockIO", "weight", Member::kNumber},
    {"cpu-share", "cpu", "shares", Member::kNumber},
    {"cpu-quota", "cpu", "quota", Member::kNumber},
    {"cpu-period", "cpu", "period", Member::kNumber},
    {"cpu-burst", "cpu", "burst", Member::kNumber},
    {"cpu-rt-runtime", "cpu", "realtimeRuntime", Member::kNumber},
    {"cpu-rt-period", "cpu", "realtimePeriod", Member::kNumber},
    {"cpu-idle", "cpu", "idle", Member::kNumber},
    {"cpuset-cpus", "cpu", "cpus", Member::kText},
    {"cpuset-mems", "cpu", "mems", Member::kText},
    {"memory", "memory", "limit", Member::kBytes},
    {"memory-reservation", "memory", "reservation", Member::kBytes},
    {"memory-swap", "memory", "swap", Member::kBytes},
    {"pids-limit", "pids", "limit", Member::kNumber},
};

Result<std::string> value_of(const Member& member, const std::string& text) {
  if (member.kind == Member::kText) return oci::json::quote(text);
  if (member.kind == Member::kNumber) return text;  // parsing has seen that it is one
  auto bytes = parse_bytes(text);
  if (!bytes)
    return fail(0, std::string("invalid value for ") + member.flag + ": " + bytes.error().message);
  return std::to_string(*bytes);
}

Result<std::string> resources_of(const Options& options) {
  constexpr std::size_t kLargest = 1 << 20;
  if (options.has("resources")) {
    std::string path = options.get("resources");
    if (path == "-") return kernel::read_all(0, kLargest);
    return kernel::read_file(AT_FDCWD, path.c_str(), kLargest);
  }
  std::string out;
  for (const char* group : {"blockIO", "cpu", "memory", "pids"}) {
    std::string members;
    for (const Member& member : kMembers) {
      if (std::string_view(member.group) != group || !options.has(member.flag)) continue;
      DAVIT_ASSIGN(std::string value, value_of(member, options.get(member.flag)));
      members += (members.empty() ? "" : ",") + oci::json::quote(member.name) + ':' + value;
    }
    if (!members.empty())
      out += (out.empty() ? "" : ",") + oci::json::quote(group) + ":{" + members + '}';
  }
  return '{' + out + '}';
}

}  // namespace

Result<int> update_command(const Call& call) {
  DAVIT_ASSIGN(View view, look(call.globals.root, call.id()));
  if (view.status == Status::kStopped) return fail(0, "container not running");
  DAVIT_ASSIGN(std::string resources, resources_of(call.options));
  DAVIT_ASSIGN(auto container, oci::Container::load(view.dir));
  DAVIT_TRY(container->update(resources));
  const Options& options = call.options;
  if (options.has("l3-cache-schema") || options.has("mem-bw-schema"))
    DAVIT_TRY(container->update_rdt(options.get("l3-cache-schema"), options.get("mem-bw-schema")));
  return 0;
}

}  // namespace davit::oci_cli
