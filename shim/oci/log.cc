#include "shim/oci/log.h"

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include "native/kernel/fd.h"
#include "native/kernel/file.h"
#include "native/oci/json_text.h"

namespace davit::oci_cli {
namespace {

struct Log {
  Fd file;  // empty: standard error
  bool json = false, debug = false;
};

Log& log() {
  static Log the_log;
  return the_log;
}

std::string now() {
  time_t seconds = ::time(nullptr);
  struct tm parts = {};
  ::gmtime_r(&seconds, &parts);
  char text[32];
  ::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

void say(int fd, const std::string& line) {
  (void)!::write(fd, line.data(), line.size());
}

void write_line(std::string_view level, std::string_view text) {
  say(log().file ? log().file.get() : STDERR_FILENO,
      log_line(log().json, level, text, now()) + '\n');
}

}  // namespace

Result<> open_log(const std::string& path, bool json, bool debug) {
  log().json = json;
  log().debug = debug;
  if (path.empty() || path == "/dev/stderr") return {};
  constexpr mode_t kMode = 0644;
  DAVIT_ASSIGN(log().file, kernel::open_at(AT_FDCWD, path.c_str(),
                                           O_WRONLY | O_CREAT | O_APPEND | O_NOCTTY, kMode));
  return {};
}

std::string log_line(bool json, std::string_view level, std::string_view text,
                     std::string_view time) {
  if (json)
    return "{\"level\":" + oci::json::quote(level) + ",\"msg\":" + oci::json::quote(text) +
           ",\"time\":" + oci::json::quote(time) + '}';
  return "time=" + oci::json::quote(time) + " level=" + std::string(level) +
         " msg=" + oci::json::quote(text);
}

void log_warning(std::string_view text) {
  // Standard error may be the container's own, which is no place for our remarks.
  if (log().file || log().debug || ::isatty(STDERR_FILENO)) write_line("warning", text);
}

void log_debug(std::string_view text) {
  if (log().debug) write_line("debug", text);
}

void log_error(std::string_view text) {
  write_line("error", text);
  if (log().file) say(STDERR_FILENO, std::string(text) + '\n');
}

}  // namespace davit::oci_cli
