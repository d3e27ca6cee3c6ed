#include "shim/oci/flags.h"

#include <signal.h>

#include "shim/oci/commands.h"
#include "shim/oci/log.h"
#include "shim/testing/check.h"

namespace {

using namespace davit;
using namespace davit::oci_cli;

constexpr Flag kFlags[] = {
    {"bundle", 'b', Takes::kValue, ""},
    {"detach", 'd', Takes::kNothing, ""},
    {"env", 'e', Takes::kValues, ""},
    {"preserve-fds", 0, Takes::kNumber, ""},
};

Result<ParsedLine> parse(std::vector<std::string> words, bool anywhere = true) {
  return parse_line(words, kFlags, anywhere);
}
std::string failure(std::vector<std::string> words) {
  auto line = parse(std::move(words));
  return line ? "" : line.error().text();
}

void takes_every_form_of_a_flag() {
  for (auto words : std::vector<std::vector<std::string>>{{"-b", "/x", "id"},
                                                          {"--bundle", "/x", "id"},
                                                          {"-bundle=/x", "id"},
                                                          {"--b=/x", "id"},
                                                          {"id", "--bundle", "/x"}}) {
    auto line = parse(words);
    CHECK(line && line->options.get("bundle") == "/x");
    CHECK(line && line->args == std::vector<std::string>{"id"});
  }
}

void leaves_another_programs_flags_alone() {
  auto line = parse({"-d", "id", "ls", "-b", "--", "-x"}, false);
  CHECK(line && line->options.has("detach") && !line->options.has("bundle"));
  CHECK(line && line->args == (std::vector<std::string>{"id", "ls", "-b", "--", "-x"}));
  line = parse({"--", "-d"});
  CHECK(line && line->args == std::vector<std::string>{"-d"});
}

void keeps_all_values() {
  auto line = parse({"-e", "A=1", "--env=B=2", "-b", "/x", "-b", "/y"});
  CHECK(line && line->options.all("env") == (std::vector<std::string>{"A=1", "B=2"}));
  CHECK(line && line->options.get("bundle") == "/y");
  line = parse({"-d", "-d=false"});
  CHECK(line && !line->options.has("detach"));
}

void names_what_is_wrong() {
  CHECK(failure({"--bogus"}) == "flag provided but not defined: -bogus");
  CHECK(failure({"--bundle"}) == "flag needs an argument: -bundle");
  CHECK(failure({"--preserve-fds", "x"}) == "invalid value \"x\" for flag -preserve-fds");
  CHECK(failure({"-d=maybe"}) == "invalid value \"maybe\" for flag -detach");
}

void reads_durations_sizes_and_signals() {
  CHECK(parse_duration("5s") == 5000);
  CHECK(parse_duration("1m30s") == 90'000);
  CHECK(parse_duration("1.5s") == 1500);
  CHECK(parse_duration("250ms") == 250);
  for (const char* bad : {"", "5", "s", "-1s", "5 s", "99999999999h"}) CHECK(!parse_duration(bad));
  CHECK(parse_bytes("1024") == 1024);
  CHECK(parse_bytes("64k") == 65536);
  CHECK(parse_bytes("512M") == 512 << 20);
  CHECK(parse_bytes("2GiB") == std::int64_t{2} << 30);
  CHECK(parse_bytes("-1") == -1);
  for (const char* bad : {"", "x", "5q", "99999999999999999999", "9999999999g", "-2"})
    CHECK(!parse_bytes(bad));
  CHECK(parse_signal("TERM") == SIGTERM);
  CHECK(parse_signal("SIGKILL") == SIGKILL);
  CHECK(parse_signal("hup") == SIGHUP);
  CHECK(parse_signal("9") == 9);
  CHECK(parse_signal("RTMIN+3") == SIGRTMIN + 3);
  CHECK(parse_signal("SIGRTMAX-1") == SIGRTMAX - 1);
  for (const char* bad : {"", "BOGUS", "-1", "RTMIN-1", "RTMAX+1"}) CHECK(!parse_signal(bad));
}

void writes_both_logs() {
  CHECK(log_line(true, "error", "no \"x\"", "T") ==
        R"({"level":"error","msg":"no \"x\"","time":"T"})");
  CHECK(log_line(false, "error", "no \"x\"", "T") == R"(time="T" level=error msg="no \"x\"")");
}

void explains_every_command() {
  CHECK(commands().size() == 17);
  for (const Command& command : commands()) {
    CHECK(help_text().find(command.about) != std::string::npos);
    for (const Flag& flag : command.flags)
      CHECK(help_text(command).find(std::string("--") + flag.name) != std::string::npos);
  }
}

}  // namespace

int main() {
  takes_every_form_of_a_flag();
  leaves_another_programs_flags_alone();
  keeps_all_values();
  names_what_is_wrong();
  reads_durations_sizes_and_signals();
  writes_both_logs();
  explains_every_command();
  return davit::testing::result();
}
