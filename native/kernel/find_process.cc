#include "native/kernel/find_process.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <time.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string_view>

#include "native/kernel/fd.h"
#include "native/kernel/proc.h"
#include "native/kernel/process.h"

namespace davit::kernel {

namespace {

constexpr size_t kMaxCommandLine = 64 << 10;

int64_t now_ms() {
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return int64_t{time.tv_sec} * 1000 + time.tv_nsec / 1'000'000;
}

// Empty for one that has ended, and for the kernel's own.
std::vector<std::string> arguments_of(int proc, const char* pid) {
  std::vector<std::string> words;
  Fd file(::openat(proc, (std::string(pid) + "/cmdline").c_str(), O_RDONLY | O_CLOEXEC));
  std::string text;
  char buffer[4096];
  while (file && text.size() < kMaxCommandLine) {
    ssize_t count = ::read(file.get(), buffer, sizeof(buffer));
    if (count <= 0) break;
    text.append(buffer, static_cast<size_t>(count));
  }
  for (size_t from = 0, to; (to = text.find('\0', from)) != std::string::npos; from = to + 1) {
    words.push_back(text.substr(from, to - from));
  }
  return words;
}

bool matches(const std::vector<std::string>& words, const CommandLine& wanted) {
  if (words.empty()) return false;
  std::string_view name = words[0];
  if (name.substr(name.rfind('/') + 1) != wanted.program) return false;
  for (size_t i = 0; i + 1 < wanted.words.size(); i += 2) {
    auto pair = wanted.words.begin() + static_cast<ptrdiff_t>(i);
    if (std::search(words.begin() + 1, words.end(), pair, pair + 2) == words.end()) return false;
  }
  return true;
}

struct Found {
  pid_t pid;
  Fd pidfd;
};

}  // namespace

Result<std::vector<pid_t>> end_processes(const CommandLine& wanted, int timeout_ms) {
  DAVIT_ASSIGN(Fd proc, open_proc());
  DAVIT_ASSIGN(Fd listing, open_in_proc(proc.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  std::unique_ptr<DIR, int (*)(DIR*)> folder(::fdopendir(listing.get()), ::closedir);
  if (!folder) return fail_errno("list processes");
  static_cast<void>(listing.release());
  std::vector<Found> found;
  while (dirent* entry = ::readdir(folder.get())) {
    pid_t pid = static_cast<pid_t>(std::strtol(entry->d_name, nullptr, 10));
    if (pid <= 0 || !matches(arguments_of(proc.get(), entry->d_name), wanted)) continue;
    // From here on it is this process or none: what its number means is looked at once more.
    Result<Fd> pidfd = open_pidfd(pid);
    if (!pidfd || !matches(arguments_of(proc.get(), entry->d_name), wanted)) continue;
    if (signal_pidfd(pidfd->get(), SIGKILL)) found.push_back({pid, std::move(*pidfd)});
  }
  int64_t deadline = now_ms() + timeout_ms;
  std::vector<pid_t> ended;
  for (const Found& each : found) {
    pollfd poll{.fd = each.pidfd.get(), .events = POLLIN, .revents = 0};
    int64_t left = std::max<int64_t>(deadline - now_ms(), 0);
    if (::poll(&poll, 1, static_cast<int>(left)) == 1) ended.push_back(each.pid);
  }
  return ended;
}

}  // namespace davit::kernel
