#include "native/oci/program.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "native/kernel/file.h"
#include "native/kernel/in_root.h"
#include "native/oci/identity.h"
#include "native/oci/passwd.h"
#include "native/oci/process_limits.h"

namespace davit::oci {
namespace {

// 0 when `path` may be executed by this process, else an errno.
int why_not_executable(const std::string& path) {
  struct stat st;
  if (::stat(path.c_str(), &st) != 0) return errno;
  if (S_ISDIR(st.st_mode)) return EISDIR;
  // Real and effective ids are the same by now, and what asks for the effective ones is a newer
  // system call, which filters in use do not know.
  if (::access(path.c_str(), X_OK) != 0) return errno;
  return 0;
}

std::string_view variable(const std::vector<std::string>& env, std::string_view name) {
  std::string_view found;
  for (const std::string& entry : env)
    if (entry.size() > name.size() && entry.starts_with(name) && entry[name.size()] == '=')
      found = std::string_view(entry).substr(name.size() + 1);
  return found;
}

const char* words(int code) {
  switch (code) {
    case ENOENT:
      return "no such file or directory";
    case ENOTDIR:
      return "not a directory";
    case EACCES:
      return "permission denied";
    case EISDIR:
      // Clients take their status 126 from the second half, as older runtimes said it.
      return "is a directory: permission denied";
    case ELOOP:
      return "too many levels of symbolic links";
    default:
      return ::strerror(code);
  }
}

std::string home_of(uid_t uid) {
  constexpr std::size_t kLimit = 10 << 20;
  Fd root(::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  auto file = kernel::open_in_root(root.get(), "/etc/passwd", O_RDONLY | O_NONBLOCK | O_NOCTTY);
  struct stat st;
  if (!file || ::fstat(file->get(), &st) != 0 || !S_ISREG(st.st_mode)) return "/";
  auto text = kernel::read_all(file->get(), kLimit);
  if (!text) return "/";
  return home_in_passwd(*text, uid);
}

std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> out;
  out.reserve(strings.size() + 1);
  for (const std::string& string : strings) out.push_back(const_cast<char*>(string.c_str()));
  out.push_back(nullptr);
  return out;
}

}  // namespace

Result<std::string> find_program(const ProcessSpec& process) {
  const std::string& name = process.args.front();
  std::string prefix = "exec: \"" + name + "\": ";
  if (name.find('/') != std::string::npos) {
    int code = why_not_executable(name);
    if (code == 0) return name;
    if (code == EACCES || code == EISDIR) return fail(0, prefix + words(code));
    return fail(0, prefix + "stat " + name + ": " + words(code));
  }
  std::string_view path = variable(process.env, "PATH");
  while (!name.empty() && !path.empty()) {
    std::size_t end = path.find(':');
    std::string dir(path.substr(0, end));
    path = end == std::string_view::npos ? std::string_view() : path.substr(end + 1);
    std::string candidate = (dir.empty() ? "." : dir) + '/' + name;
    if (why_not_executable(candidate) == 0) return candidate;
  }
  return fail(0, prefix + "executable file not found in $PATH");
}

Result<> enter_cwd(const std::string& cwd) {
  if (::chdir(cwd.c_str()) != 0) return fail_errno("chdir to cwd \"" + cwd + '"');
  // The kernel says "(unreachable)" before the path of a directory outside the root.
  char path[PATH_MAX];
  if (::syscall(SYS_getcwd, path, sizeof path) < 0 || path[0] != '/')
    return fail(EPERM, "cwd \"" + cwd + "\" is outside the container");
  return {};
}

void add_home(ProcessSpec& process) {
  if (variable(process.env, "HOME").empty())
    process.env.push_back("HOME=" + home_of(process.user.uid));
}

Result<> run_program(const ProcessSpec& process, const std::string& path,
                     const SeccompFilter* seccomp, int socket) {
  std::vector<char*> args = pointers(process.args), env = pointers(process.env);
  // Not before: until here descriptors may still have been needed.
  DAVIT_TRY(set_limits(process));
  if (seccomp != nullptr) DAVIT_TRY(install_seccomp(*seccomp, socket));
  ::execve(path.c_str(), args.data(), env.data());
  return fail_errno("exec \"" + path + '"');
}

}  // namespace davit::oci
