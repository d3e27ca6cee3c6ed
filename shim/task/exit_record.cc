#include "shim/task/exit_record.h"

#include <fcntl.h>
#include <unistd.h>

#include <cinttypes>
#include <cstdio>

#include "native/kernel/fd.h"
#include "native/kernel/file.h"

namespace davit::shim {

namespace {

constexpr char kName[] = "/exit-status";

}  // namespace

Result<> write_exit_record(const std::string& bundle, const Exit& exit) {
  const std::string path = bundle + kName;
  const Fd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file) return fail_errno("open \"" + path + "\"");
  char text[80];
  const int length = std::snprintf(text, sizeof text, "%d %u %" PRId64 " %d\n", exit.pid,
                                   exit.status, exit.at.seconds, exit.at.nanos);
  if (::write(file.get(), text, static_cast<size_t>(length)) != length) {
    return fail_errno("write \"" + path + "\"");
  }
  return {};
}

std::optional<Exit> read_exit_record(const std::string& bundle) {
  const auto text = kernel::read_file(AT_FDCWD, (bundle + kName).c_str(), 80);
  Exit exit;
  if (!text || !text->ends_with('\n') ||
      std::sscanf(text->c_str(), "%d %u %" SCNd64 " %d", &exit.pid, &exit.status, &exit.at.seconds,
                  &exit.at.nanos) != 4) {
    return std::nullopt;
  }
  return exit;
}

}  // namespace davit::shim
