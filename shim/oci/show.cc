// state, list, ps, features.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>

#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include "native/kernel/file.h"
#include "native/kernel/program.h"
#include "native/oci/cgroup/cgroup.h"
#include "native/oci/features.h"
#include "native/oci/json.h"
#include "native/oci/json_text.h"
#include "shim/oci/commands.h"
#include "shim/oci/store.h"
#include "shim/version.h"

namespace davit::oci_cli {
namespace {

namespace json = oci::json;

constexpr std::size_t kLargestConfig = 16 << 20;
constexpr char kNewestSpec[] = "1.3.0";

// What a person may ask about one container.
struct Shown {
  std::string id, status, bundle, rootfs, created, owner, oci_version, annotations;
  pid_t pid = 0;
};

std::string time_text(const struct timespec& at) {
  struct tm parts = {};
  ::gmtime_r(&at.tv_sec, &parts);
  char day[32], text[64];
  ::strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &parts);
  ::snprintf(text, sizeof text, "%s.%09ldZ", day, at.tv_nsec);
  return text;
}

// getpwuid needs what a static program does not have.
std::string user_name(uid_t uid) {
  auto passwd = kernel::read_file(AT_FDCWD, "/etc/passwd", kLargestConfig);
  std::string_view rest = passwd ? std::string_view(*passwd) : std::string_view();
  while (!rest.empty()) {
    std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    std::size_t name = line.find(':');
    if (name == std::string_view::npos) continue;
    std::size_t password = line.find(':', name + 1);
    if (password == std::string_view::npos) continue;
    std::string_view number = line.substr(password + 1);
    number = number.substr(0, number.find(':'));
    if (number == std::to_string(uid)) return std::string(line.substr(0, name));
  }
  return '#' + std::to_string(uid);
}

Result<Shown> shown(const std::string& root, const std::string& id) {
  DAVIT_ASSIGN(View view, look(root, id));
  Shown out{.id = id,
            .status = name_of(view.status),
            .bundle = view.state.bundle,
            .rootfs = {},
            .created = {},
            .owner = {},
            .oci_version = kNewestSpec,
            .annotations = {},
            .pid = view.status == Status::kStopped ? 0 : view.state.pid};
  // Written once, by create: its age is the container's.
  std::string path = view.dir + '/' + oci::kKeptSpec;
  struct stat st = {};
  if (::stat(path.c_str(), &st) != 0) return fail(0, kNotThere);
  out.created = time_text(st.st_mtim);
  out.owner = user_name(st.st_uid);
  DAVIT_ASSIGN(std::string text, kernel::read_file(AT_FDCWD, path.c_str(), kLargestConfig));
  DAVIT_ASSIGN(json::Document config, json::parse(text));
  DAVIT_TRY(json::get(config, "ociVersion", {}, out.oci_version));
  DAVIT_ASSIGN(const json::Value* part, json::object(config, "root", {}));
  out.rootfs = "rootfs";
  if (part != nullptr) DAVIT_TRY(json::get(*part, "path", json::At{"root"}, out.rootfs));
  if (!out.rootfs.starts_with('/')) out.rootfs = out.bundle + '/' + out.rootfs;
  DAVIT_ASSIGN(const json::Value* annotations, json::object(config, "annotations", {}));
  if (annotations != nullptr && !annotations->ObjectEmpty()) {
    rapidjson::StringBuffer buffer;
    rapidjson::Writer<rapidjson::StringBuffer> writer(buffer);
    annotations->Accept(writer);
    out.annotations = buffer.GetString();
  }
  return out;
}

std::string state_text(const Shown& one, const std::string& owner, const char* separator) {
  std::string gap = *separator == '\n' ? " " : "";
  auto member = [&](const char* name, const std::string& value) {
    return json::quote(name) + ':' + gap + value;
  };
  std::string comma = std::string(",") + separator;
  std::string out = member("ociVersion", json::quote(one.oci_version)) + comma +
                    member("id", json::quote(one.id)) + comma +
                    member("pid", std::to_string(one.pid)) + comma +
                    member("status", json::quote(one.status)) + comma +
                    member("bundle", json::quote(one.bundle)) + comma +
                    member("rootfs", json::quote(one.rootfs)) + comma +
                    member("created", json::quote(one.created)) + comma;
  if (!one.annotations.empty()) out += member("annotations", one.annotations) + comma;
  return out + member("owner", json::quote(owner));
}

void print_table(const std::vector<Shown>& all) {
  constexpr std::size_t kColumns = 6, kLeast = 12, kGap = 3;
  std::vector<std::vector<std::string>> rows = {
      {"ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"}};
  for (const Shown& one : all)
    rows.push_back(
        {one.id, std::to_string(one.pid), one.status, one.bundle, one.created, one.owner});
  std::size_t widths[kColumns] = {};
  for (const auto& row : rows)
    for (std::size_t i = 0; i < kColumns; i++)
      widths[i] = std::max({widths[i], row[i].size() + kGap, kLeast});
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < kColumns; i++) {
      line += row[i];
      if (i + 1 < kColumns) line.append(widths[i] - row[i].size(), ' ');
    }
    ::puts(line.c_str());
  }
}

Result<std::string> format_of(const Options& options) {
  std::string format = options.has("format") ? options.get("format") : "table";
  if (format != "table" && format != "json") return fail(0, "invalid format option");
  return format;
}

// The number in the column of `line` that the heading calls PID.
pid_t pid_in(const std::string& line, std::size_t column) {
  std::size_t at = 0;
  for (std::size_t i = 0;; i++) {
    at = line.find_first_not_of(' ', at);
    if (at == std::string::npos) return -1;
    std::size_t end = std::min(line.find(' ', at), line.size());
    if (i == column) {
      auto number = parse_integer(std::string_view(line).substr(at, end - at));
      return number ? static_cast<pid_t>(*number) : -1;
    }
    at = end;
  }
}

Result<int> print_processes(const std::vector<pid_t>& pids, std::vector<std::string> args) {
  if (args.empty()) args = {"-ef"};
  args.insert(args.begin(), "ps");
  constexpr int kTimeoutMs = 30'000;
  const char* path = ::getenv("PATH");
  std::vector<std::string> env = {std::string("PATH=") +
                                  (path == nullptr ? "/usr/bin:/bin" : path)};
  std::string file = ::access("/usr/bin/ps", X_OK) == 0 ? "/usr/bin/ps" : "/bin/ps";
  DAVIT_ASSIGN(program::Outcome outcome, program::run({file, args, env, "", "", kTimeoutMs}));
  if (outcome.code != 0 || outcome.signal != 0) return fail(0, "ps: " + outcome.err);
  std::string heading = outcome.out.substr(0, outcome.out.find('\n'));
  std::size_t column = 0, words = 0;
  bool found = false;
  for (std::size_t at = heading.find_first_not_of(' '); at != std::string::npos && !found;
       at = heading.find_first_not_of(' ', heading.find(' ', at)), words++) {
    if (heading.compare(at, 3, "PID") == 0) {
      column = words;
      found = true;
    }
    if (heading.find(' ', at) == std::string::npos) break;
  }
  if (!found) return fail(0, "couldn't find PID field in ps output");
  ::puts(heading.c_str());
  for (std::size_t at = outcome.out.find('\n') + 1; at < outcome.out.size();) {
    std::size_t end = std::min(outcome.out.find('\n', at), outcome.out.size());
    std::string line = outcome.out.substr(at, end - at);
    if (std::find(pids.begin(), pids.end(), pid_in(line, column)) != pids.end())
      ::puts(line.c_str());
    at = end + 1;
  }
  return 0;
}

}  // namespace

Result<int> state_command(const Call& call) {
  DAVIT_ASSIGN(Shown one, shown(call.globals.root, call.id()));
  ::printf("{\n  %s\n}", state_text(one, "", "\n  ").c_str());
  return 0;
}

Result<int> list_command(const Call& call) {
  DAVIT_ASSIGN(std::string format, format_of(call.options));
  DAVIT_ASSIGN(std::vector<std::string> ids, list_ids(call.globals.root));
  std::vector<Shown> all;
  for (const std::string& id : ids) {
    // One that is being made or deleted, or that nobody can read, is not for this list.
    if (auto one = shown(call.globals.root, id)) all.push_back(std::move(*one));
  }
  if (call.options.has("quiet")) {
    for (const Shown& one : all) ::puts(one.id.c_str());
  } else if (format == "table") {
    print_table(all);
  } else if (all.empty()) {
    ::puts("null");
  } else {
    std::string out;
    for (const Shown& one : all)
      out += (out.empty() ? "[{" : ",{") + state_text(one, one.owner, "") + '}';
    ::puts((out + ']').c_str());
  }
  return 0;
}

Result<int> ps_command(const Call& call) {
  DAVIT_ASSIGN(std::string format, format_of(call.options));
  DAVIT_ASSIGN(View view, look(call.globals.root, call.id()));
  std::vector<pid_t> pids;
  if (view.status != Status::kStopped) {
    DAVIT_ASSIGN(pids, oci::Cgroup::reopen(view.state.cgroups).pids());
  }
  if (format == "table") return print_processes(pids, {call.args.begin() + 1, call.args.end()});
  std::string out;
  for (pid_t pid : pids) out += (out.empty() ? "" : ",") + std::to_string(pid);
  ::printf("[%s]\n", out.c_str());
  return 0;
}

Result<int> features_command(const Call&) {
  ::puts(oci::features_json(shim::kVersion).c_str());
  return 0;
}

}  // namespace davit::oci_cli
