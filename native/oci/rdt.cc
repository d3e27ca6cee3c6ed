#include "native/oci/rdt.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "native/kernel/file.h"

namespace davit::oci {
namespace {

constexpr char kRoot[] = "/sys/fs/resctrl";

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '0')) text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

// Calls `each(part)` for what `separator` parts, until one is false.
template <typename Each>
bool every(std::string_view text, char separator, const Each& each) {
  while (!text.empty()) {
    std::string_view part = text.substr(0, text.find(separator));
    text.remove_prefix(std::min(text.size(), part.size() + 1));
    if (!part.empty() && !each(part)) return false;
  }
  return true;
}

// Whether "L3:0=f;1=3" says so of one of its domains: "L3", "0=f". Numbers may have zeros before.
bool says(std::string_view schemata, std::string_view type, std::string_view setting) {
  std::size_t equals = setting.find('=');
  if (equals == std::string_view::npos) return false;
  bool said = false;
  (void)every(schemata, '\n', [&](std::string_view line) {
    std::size_t colon = line.find(':');
    if (colon == std::string_view::npos || trimmed(line.substr(0, colon)) != trimmed(type))
      return true;
    return every(line.substr(colon + 1), ';', [&](std::string_view other) {
      std::size_t at = other.find('=');
      said |= at != std::string_view::npos &&
              trimmed(other.substr(0, at)) == trimmed(setting.substr(0, equals)) &&
              trimmed(other.substr(at + 1)) == trimmed(setting.substr(equals + 1));
      return true;
    });
  });
  return said;
}

bool agrees(std::string_view schemata, std::string_view wanted) {
  return every(wanted, '\n', [&](std::string_view line) {
    std::size_t colon = line.find(':');
    return colon != std::string_view::npos &&
           every(line.substr(colon + 1), ';', [&](std::string_view setting) {
             return says(schemata, line.substr(0, colon), setting);
           });
  });
}

// What is to be written: bandwidth of its own member before that of the cache's.
std::string lines_of(std::string_view l3_cache, std::string_view mem_bandwidth) {
  std::string lines;
  (void)every(l3_cache, '\n', [&](std::string_view line) {
    if (mem_bandwidth.empty() || !line.starts_with("MB:")) lines += std::string(line) + '\n';
    return true;
  });
  if (!mem_bandwidth.empty()) lines += std::string(mem_bandwidth) + '\n';
  return lines;
}

Result<> write_schemata(const std::string& group, const std::string& lines) {
  if (lines.empty()) return {};
  auto written = kernel::write_value(AT_FDCWD, (group + "/schemata").c_str(), lines);
  if (written) return {};
  // The errno is EINVAL for whatever was wrong; the words are here.
  std::string root = group.substr(0, group.rfind('/'));
  auto why = kernel::read_file(AT_FDCWD, (root + "/info/last_cmd_status").c_str());
  return wrap("linux.intelRdt" + (why ? " (" + why->substr(0, why->find('\n')) + ")" : ""),
              std::move(written).error());
}

Result<> check_name(const char* member, const std::string& name) {
  for (const char* taken : {"", ".", "..", "info", "mon_data", "mon_groups"})
    if (name == taken) return fail(EINVAL, std::string(member) + ": not the name of a group");
  if (name.find_first_of("/\n") == std::string::npos) return {};
  return fail(EINVAL, std::string(member) + ": \"" + name + "\" is not the name of a group");
}

}  // namespace

Result<RdtSpec> parse_rdt(const json::Value& value, const json::At& at) {
  RdtSpec out;
  DAVIT_TRY(json::get(value, "closID", at, out.clos_id));
  DAVIT_TRY(json::get(value, "l3CacheSchema", at, out.l3_cache));
  DAVIT_TRY(json::get(value, "memBwSchema", at, out.mem_bandwidth));
  DAVIT_TRY(json::get(value, "schemata", at, out.schemata));
  DAVIT_TRY(json::get(value, "enableMonitoring", at, out.monitoring));
  if (!out.clos_id.empty()) DAVIT_TRY(check_name("linux.intelRdt.closID", out.clos_id));
  if (!out.mem_bandwidth.empty() &&
      (!out.mem_bandwidth.starts_with("MB:") || out.mem_bandwidth.find('\n') != std::string::npos))
    return json::wrong(at / "memBwSchema", "one line that begins with MB:");
  return out;
}

Result<Rdt> make_rdt(const RdtSpec& spec, const std::string& id, const std::string& root) {
  constexpr long kResctrl = 0x7655821;
  struct statfs fs;
  if (root == kRoot && (::statfs(kRoot, &fs) != 0 || fs.f_type != kResctrl))
    return fail(ENOTSUP, "linux.intelRdt: no resctrl file system is mounted at /sys/fs/resctrl");
  DAVIT_TRY(check_name("container id", id));
  bool named = !spec.clos_id.empty();
  Rdt rdt;
  rdt.group = root + '/' + (named ? spec.clos_id : id);
  std::string lines = lines_of(spec.l3_cache, spec.mem_bandwidth);
  std::string last;
  for (const std::string& line : spec.schemata) last += line + '\n';
  bool asked = !lines.empty() || !last.empty();
  bool there = ::access(rdt.group.c_str(), F_OK) == 0;
  if (named && !asked && !there)
    return fail(ENOENT, "linux.intelRdt.closID: no group \"" + rdt.group + '"');
  if (there && !named) return fail(EEXIST, "linux.intelRdt: group \"" + rdt.group + '"');
  if (there && asked) {
    DAVIT_ASSIGN(std::string now, kernel::read_file(AT_FDCWD, (rdt.group + "/schemata").c_str()));
    if (!agrees(now, lines + last))
      return fail(EEXIST, "linux.intelRdt: group \"" + rdt.group + "\" has other schemata");
  }
  if (!there && ::mkdir(rdt.group.c_str(), 0755) != 0)
    return fail_errno("linux.intelRdt: make group \"" + rdt.group + '"');
  auto fill = [&]() -> Result<> {
    if (!there) DAVIT_TRY(write_schemata(rdt.group, lines));
    if (!there) DAVIT_TRY(write_schemata(rdt.group, last));
    if (!spec.monitoring) return {};
    std::string monitor = rdt.group + "/mon_groups/" + id;
    if (::mkdir(monitor.c_str(), 0755) != 0)
      return fail_errno("linux.intelRdt.enableMonitoring: make \"" + monitor + '"');
    rdt.monitor = std::move(monitor);
    return {};
  };
  if (auto filled = fill(); !filled) {
    if (!there) ::rmdir(rdt.group.c_str());
    return std::unexpected(std::move(filled).error());
  }
  rdt.owned = !named;
  return rdt;
}

Result<> join_rdt(const Rdt& rdt, pid_t pid) {
  for (const std::string* dir : {&rdt.group, &rdt.monitor})
    if (!dir->empty())
      DAVIT_TRY(kernel::write_value(AT_FDCWD, (*dir + "/tasks").c_str(), std::to_string(pid)));
  return {};
}

Result<> update_rdt(const Rdt& rdt, std::string_view l3_cache, std::string_view mem_bandwidth) {
  if (rdt.group.empty())
    return fail(ENOTSUP, "linux.intelRdt: the container was not made with a group of resctrl");
  return write_schemata(rdt.group, lines_of(l3_cache, mem_bandwidth));
}

Result<> remove_rdt(const Rdt& rdt) {
  Result<> first;
  for (const std::string& dir : {rdt.monitor, rdt.owned ? rdt.group : std::string()})
    if (!dir.empty() && ::rmdir(dir.c_str()) != 0 && errno != ENOENT && first)
      first = fail_errno("remove \"" + dir + '"');
  return first;
}

}  // namespace davit::oci
