#include "shim/log.h"

#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <cstdio>
#include <string>

namespace davit::shim {

namespace {

// Written once at the start; the shim has one thread.
std::string about;

}  // namespace

void log_as(std::string_view name_space, std::string_view id) {
  about.assign(" namespace=").append(name_space).append(" id=").append(id);
}

void log(std::string_view message) {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  tm parts{};
  ::gmtime_r(&now.tv_sec, &parts);
  char head[64];
  const size_t length =
      ::strftime(head, sizeof head, "time=\"%Y-%m-%dT%H:%M:%SZ\" level=warning msg=\"", &parts);
  std::string line(head, length);
  for (const char c : message) {
    if (c == '"' || c == '\\') line.push_back('\\');
    line.push_back(c == '\n' ? ' ' : c);
  }
  line += '"';
  line += about;
  line += '\n';
  // Best effort: nobody may be reading.
  if (::write(STDERR_FILENO, line.data(), line.size()) < 0) return;
}

}  // namespace davit::shim
