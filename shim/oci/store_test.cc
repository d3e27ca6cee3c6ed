#include "shim/oci/store.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "native/kernel/process.h"
#include "native/oci/json.h"
#include "shim/oci/process_json.h"
#include "shim/oci/stats_json.h"
#include "shim/testing/check.h"

namespace {

using namespace davit;
using namespace davit::oci_cli;

std::string make_root() {
  char path[] = "/tmp/davit-oci-store.XXXXXX";
  return ::mkdtemp(path) == nullptr ? "" : path;
}
std::string text_of(const Error& error) {
  return error.text();
}

void refuses_bad_ids() {
  for (const char* good : {"a", "a_b+c-d.e", "0", "..."}) CHECK(check_id(good).has_value());
  for (const char* bad : {"", ".", "..", "a/b", "../x", "a b", "a\n", "\xc3\xa9"})
    CHECK(!check_id(bad));
}

void gives_an_id_once() {
  std::string root = make_root() + "/below";
  {
    auto entry = Entry::make(root, "a");
    CHECK(entry.has_value());
    // Being made by somebody: neither a second one nor to be seen yet.
    auto second = Entry::make(root, "a");
    CHECK(!second && text_of(second.error()) == "container with given ID already exists");
    auto seen = look(root, "a");
    CHECK(!seen && text_of(seen.error()) == kNotThere);
  }
  // Its creator is gone and left nothing: it may be made again.
  auto entry = Entry::make(root, "a");
  CHECK(entry.has_value());
  CHECK(oci::write_state(entry->dir(), {.id = "a", .bundle = "/b", .cgroups = {}}).has_value());
  entry->unlock();
  CHECK(!Entry::make(root, "a"));
  CHECK(list_ids(root) == std::vector<std::string>{"a"});
  auto locked = Entry::lock(root, "a");
  CHECK(locked && locked->remove());
  auto gone = Entry::lock(root, "a");
  CHECK(!gone && text_of(gone.error()) == kNotThere);
  CHECK(list_ids(root)->empty());
  ::rmdir(root.c_str());
  ::rmdir(root.substr(0, root.rfind('/')).c_str());
}

void does_not_take_anothers_process_for_a_container() {
  std::string root = make_root();
  auto entry = Entry::make(root, "a");
  CHECK(entry.has_value());
  pid_t child = ::fork();
  if (child == 0) {
    ::pause();
    ::_exit(0);
  }
  auto started = kernel::start_time(child);
  CHECK(started.has_value());
  oci::StateFile state{
      .id = "a", .bundle = "/b", .pid = child, .start_time = *started, .cgroups = {}};
  CHECK(oci::write_state(entry->dir(), state).has_value());
  auto view = look(root, "a");
  CHECK(view && view->status == Status::kRunning);
  // The same number, begun at another time.
  state.start_time++;
  CHECK(oci::write_state(entry->dir(), state).has_value());
  view = look(root, "a");
  CHECK(view && view->status == Status::kStopped);
  // The same process, dead but not reaped.
  state.start_time--;
  CHECK(oci::write_state(entry->dir(), state).has_value());
  ::kill(child, SIGKILL);
  siginfo_t info;
  ::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT);
  view = look(root, "a");
  CHECK(view && view->status == Status::kStopped);
  ::waitpid(child, nullptr, 0);
  CHECK(entry->remove().has_value());
  ::rmdir(root.c_str());
}

std::string process(const std::vector<std::string>& words, const std::vector<std::string>& args) {
  constexpr Flag kFlags[] = {
      {"cwd", 0, Takes::kValue, ""},   {"env", 0, Takes::kValues, ""},
      {"tty", 0, Takes::kNothing, ""}, {"user", 0, Takes::kValue, ""},
      {"cap", 0, Takes::kValues, ""},  {"additional-gids", 0, Takes::kValues, ""},
  };
  constexpr char kConfig[] =
      R"({"process":{"args":["sh"],"env":["A=1"],"cwd":"/","user":{"uid":5,"gid":6},)"
      R"("capabilities":{"bounding":["CAP_KILL"]},"rlimits":[{"hard":18446744073709551615}]}})";
  auto line = parse_line(words, kFlags, true);
  auto text = process_json(kConfig, line->options, args);
  return text ? *text : text.error().text();
}

void changes_only_what_is_said() {
  std::string text = process({}, {"ls", "-l"});
  CHECK(text.find(R"("args":["ls","-l"])") != std::string::npos);
  CHECK(text.find(R"("uid":5,"gid":6)") != std::string::npos);
  CHECK(text.find("18446744073709551615") != std::string::npos);
  text = process(
      {"--user=7:8", "--env=B=2", "--cwd=/tmp", "--tty", "--cap=CAP_CHOWN", "--additional-gids=9"},
      {"x"});
  for (const char* part :
       {R"("uid":7)", R"("gid":8)", R"("env":["A=1","B=2"])", R"("cwd":"/tmp")",
        R"("terminal":true)", R"("bounding":["CAP_KILL","CAP_CHOWN"])", R"("additionalGids":[9])"})
    CHECK(text.find(part) != std::string::npos);
  CHECK(process({"--user=root"}, {"x"}).starts_with("parsing root as int"));
  CHECK(process({}, {}) == "process args cannot be empty");
}

void writes_statistics_as_json() {
  oci::StatsV1 stats;
  stats.cpu_total = 7;
  stats.usage = {100, 50, 60, 1};
  stats.memory = {{"cache", 3}, {"rss", 4}};
  stats.pids_current = 2;
  std::string text = stats_json(stats);
  CHECK(oci::json::parse(text).has_value());
  for (const char* part :
       {R"("total":7)", R"("usage":{"limit":100,"usage":50,"max":60,"failcnt":1})", R"("cache":3)",
        R"("raw":{"cache":3,"rss":4})", R"("pids":{"current":2})"})
    CHECK(text.find(part) != std::string::npos);
  oci::StatsV2 unified;
  unified.cpu = {{"usage_usec", 5}};
  unified.io = {{8, 0, 1, 2, 3, 4}};
  text = stats_json(unified);
  CHECK(oci::json::parse(text).has_value());
  CHECK(text.find(R"("total":5000)") != std::string::npos);
  CHECK(text.find(R"({"major":8,"minor":0,"op":"Write","value":2})") != std::string::npos);
}

}  // namespace

int main() {
  refuses_bad_ids();
  gives_an_id_once();
  does_not_take_anothers_process_for_a_container();
  changes_only_what_is_said();
  writes_statistics_as_json();
  return davit::testing::result();
}
