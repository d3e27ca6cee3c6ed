#include "native/oci/checkpoint/criu.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>

#include "native/kernel/file.h"
#include "native/kernel/process.h"
#include "native/kernel/wait.h"
#include "native/oci/channel.h"

namespace davit::oci {
namespace {

constexpr std::size_t kLargestLog = 64 << 20;
constexpr int kMostErrors = 3;
constexpr int kLogEverything = 4;
constexpr int kNotice = 6;  // type of its questions and of our answers to them
constexpr int kEndMs = 5000;

Result<std::string> find_criu(const std::string& name) {
  if (name.find('/') != std::string::npos) {
    if (::access(name.c_str(), X_OK) != 0) return fail_errno("criu \"" + name + '"');
    return name;
  }
  const std::string wanted = '/' + (name.empty() ? "criu" : name);
  const char* path = ::getenv("PATH");
  std::string_view rest = path == nullptr ? "/usr/sbin:/usr/bin:/sbin:/bin" : path;
  while (!rest.empty()) {
    std::string_view dir = rest.substr(0, rest.find(':'));
    rest.remove_prefix(std::min(rest.size(), dir.size() + 1));
    std::string candidate = std::string(dir) + wanted;
    if (candidate.front() == '/' && ::access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return fail(ENOENT, "checkpoints need the program criu, which is not in $PATH");
}

// The first lines in which criu's log says "Error".
std::string errors_in(const std::string& log) {
  auto text = kernel::read_file(AT_FDCWD, log.c_str(), kLargestLog);
  if (!text) return "";
  std::string out;
  std::string_view rest = *text;
  for (int found = 0; found < kMostErrors && !rest.empty();) {
    std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    std::size_t at = line.find("Error (");
    if (at == std::string_view::npos) continue;
    out += (out.empty() ? ": " : "; ") + std::string(line.substr(at));
    found++;
  }
  return out;
}

Result<> keep_open(int fd) {
  if (fd >= 0 && ::fcntl(fd, F_SETFD, 0) != 0) return fail_errno("hand over a descriptor");
  return {};
}

[[noreturn]] void become(const CriuRun& run, const std::string& program, int socket) {
  auto ready = [&]() -> Result<> {
    if (run.prepare) DAVIT_TRY(run.prepare());
    DAVIT_TRY(kernel::close_on_exec_from(3));
    for (const auto& [key, fd] : run.inherited) DAVIT_TRY(keep_open(fd.get()));
    DAVIT_TRY(keep_open(run.status));
    DAVIT_TRY(keep_open(socket));
    int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = 0; fd < 3; fd++) ::dup2(null, fd);
    std::string number = std::to_string(socket);
    ::execl(program.c_str(), "criu", "swrk", number.c_str(), nullptr);
    return fail_errno("exec \"" + program + '"');
  }();
  (void)kernel::send_message(socket, kFailed, failure_text(ready.error()));
  ::_exit(127);
}

// Its messages have no letter in front as ours have: the first byte stands in for it.
Result<> send_request(int socket, const std::string& request) {
  return kernel::send_message(socket, request[0], std::string_view(request).substr(1));
}

struct Heard {
  int type = 0;
  bool success = false;
  pid_t pid = -1;
  std::string error, notice;
};

Heard read_answer(const kernel::Message& message) {
  std::string bytes = message.kind + message.text;
  Heard heard;
  pb::Reader reader(bytes);
  auto inner = [&](std::uint32_t wanted, auto take) {
    pb::Reader part(reader.bytes());
    while (part.next())
      if (part.field() == wanted) take(part);
  };
  while (reader.next()) {
    switch (reader.field()) {
      case 1:
        heard.type = static_cast<int>(reader.u32());
        break;
      case 2:
        heard.success = reader.boolean();
        break;
      case 4:
        inner(1, [&](pb::Reader& part) { heard.pid = static_cast<pid_t>(part.u32()); });
        break;
      case 5:
        inner(1, [&](pb::Reader& part) { heard.notice = part.string(); });
        break;
      case 9:
        heard.error = reader.string();
        break;
      default:
        break;
    }
  }
  return heard;
}

// Answers its notices until it has done its work.
Result<CriuAnswer> converse(const CriuRun& run, int socket, const std::string& log) {
  CriuAnswer answer;
  const time_t until = ::time(nullptr) + run.deadline_ms / 1000;
  for (;;) {
    const auto left = static_cast<int>(std::max<time_t>(1, until - ::time(nullptr)) * 1000);
    DAVIT_ASSIGN(kernel::Message message,
                 kernel::receive_message(socket, run.deadline_ms < 0 ? -1 : left));
    if (message.kind == kFailed) return std::unexpected(failure_of(message.text));
    if (message.kind == kEnded)
      return fail(0, "criu has ended" + errors_in(log) + " (" + log + ')');
    Heard heard = read_answer(message);
    if (heard.type == kNotice) {
      if (heard.notice == "orphan-pts-master" && !message.descriptors.empty())
        answer.console = std::move(message.descriptors.front());
      pb::Writer reply;
      reply.varint(1, kNotice);
      reply.boolean(3, true);
      DAVIT_TRY(send_request(socket, reply.data()));
      continue;
    }
    answer.pid = heard.pid;
    if (heard.success) return answer;
    std::string said = errors_in(log);
    if (said.empty() && !heard.error.empty()) said = ": " + heard.error;
    const char* verb = run.work == CriuWork::kRestore ? "restore" : "dump";
    return fail(0, std::string("criu ") + verb + " failed" + said + " (" + log + ')');
  }
}

}  // namespace

Result<CriuAnswer> run_criu(CriuRun run) {
  DAVIT_ASSIGN(std::string program, find_criu(run.program));
  DAVIT_ASSIGN(Fd images, kernel::open_at(AT_FDCWD, run.images.c_str(), O_RDONLY | O_DIRECTORY));
  DAVIT_ASSIGN(Fd work, kernel::open_at(AT_FDCWD, run.log_dir.c_str(), O_RDONLY | O_DIRECTORY));
  const std::string log = run.work == CriuWork::kRestore ? "restore.log" : "dump.log";
  // Numbers of our descriptors: it opens them through our /proc folder, or has them from us.
  run.options.varint(criu_field::kImages, static_cast<std::uint32_t>(images.get()));
  run.options.varint(criu_field::kWork, static_cast<std::uint32_t>(work.get()));
  run.options.varint(criu_field::kLogLevel, kLogEverything);
  run.options.bytes(criu_field::kLogFile, log);
  run.options.boolean(criu_field::kNotify, true);
  if (run.status >= 0)
    run.options.varint(criu_field::kStatus, static_cast<std::uint32_t>(run.status));
  for (const auto& [key, fd] : run.inherited) {
    pb::Writer one;
    one.bytes(1, key);
    one.varint(2, static_cast<std::uint32_t>(fd.get()));
    run.options.bytes_always(criu_field::kInherited, one.data());
  }
  DAVIT_ASSIGN(auto ends, kernel::message_pair());
  DAVIT_ASSIGN(kernel::Child child, kernel::clone_process(0, run.cgroup));
  if (child.pid == 0) become(run, program, ends.second.get());
  ends.second.reset();
  pb::Writer request;
  request.varint(1, static_cast<std::uint32_t>(run.work));
  request.bytes_always(2, run.options.data());
  auto answer = [&]() -> Result<CriuAnswer> {
    DAVIT_TRY(send_request(ends.first.get(), request.data()));
    return converse(run, ends.first.get(), run.log_dir + '/' + log);
  }();
  // After an answer it ends when we hang up.
  ends.first.reset();
  struct pollfd ended = {child.pidfd.get(), POLLIN, 0};
  const bool stuck = !answer && answer.error().code == ETIMEDOUT;
  if (stuck || kernel::wait_for(&ended, 1, kEndMs) <= 0)
    (void)kernel::signal_pidfd(child.pidfd.get(), SIGKILL);
  (void)kernel::reap(child.pid);
  if (stuck) return fail(ETIMEDOUT, "criu");
  return answer;
}

}  // namespace davit::oci
