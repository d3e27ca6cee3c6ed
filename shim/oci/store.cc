#include "shim/oci/store.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>

#include "native/kernel/file.h"
#include "native/oci/cgroup/cgroup.h"
#include "native/oci/container.h"
#include "native/oci/start_socket.h"

namespace davit::oci_cli {
namespace {

constexpr int kDirectory = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;

// Whether the directory is still what its path means to others.
bool still_there(int fd) {
  struct stat st;
  return ::fstat(fd, &st) == 0 && st.st_nlink > 0;
}

bool has_state(int fd) {
  return ::faccessat(fd, "state.json", F_OK, 0) == 0;
}

Result<> make_root(const std::string& root) {
  struct stat st;
  if (::stat(root.c_str(), &st) == 0) return {};
  return kernel::make_dirs(AT_FDCWD, root.c_str(), 0711);
}

// None of a folder that is not there.
Result<std::vector<std::string>> names_in(const std::string& path) {
  std::vector<std::string> names;
  DIR* dir = ::opendir(path.c_str());
  if (dir == nullptr && errno == ENOENT) return names;
  if (dir == nullptr) return fail_errno("open \"" + path + '"');
  while (const dirent* item = ::readdir(dir))
    if (std::string_view name = item->d_name; name != "." && name != "..") names.emplace_back(name);
  ::closedir(dir);
  return names;
}

Result<> remove_files(const std::string& dir) {
  DAVIT_ASSIGN(std::vector<std::string> names, names_in(dir));
  for (const std::string& name : names)
    if (::unlink((dir + '/' + name).c_str()) != 0 && errno != ENOENT)
      return fail_errno("remove \"" + dir + '/' + name + '"');
  return {};
}

// Nothing but execve of the program closes the socket's other end while init lives.
bool waits_for_start(const std::string& dir) {
  return oci::connect_to_start(dir).has_value();
}

}  // namespace

std::string absolute(const std::string& path) {
  if (path.starts_with('/')) return path;
  char* cwd = ::getcwd(nullptr, 0);
  std::string out = (cwd == nullptr ? "" : cwd) + ('/' + path);
  ::free(cwd);
  return out;
}

Result<> check_id(const std::string& id) {
  if (id.empty()) return fail(0, "container id cannot be empty");
  bool good = id != "." && id != ".." && std::all_of(id.begin(), id.end(), [](unsigned char c) {
                return ::isalnum(c) || c == '_' || c == '+' || c == '-' || c == '.';
              });
  if (!good) return fail(0, "invalid container ID format");
  return {};
}

Result<Entry> Entry::make(const std::string& root, const std::string& id) {
  DAVIT_TRY(check_id(id));
  DAVIT_TRY(make_root(root));
  auto taken = fail(EEXIST, "container with given ID already exists");
  taken.error().code = 0;
  Entry entry;
  entry.dir_ = root + '/' + id;
  // Twice: somebody may remove what was found.
  for (int tries = 0; tries < 2; tries++) {
    bool made = ::mkdir(entry.dir_.c_str(), 0700) == 0;
    if (!made && errno != EEXIST) return fail_errno("mkdir \"" + entry.dir_ + '"');
    auto fd = kernel::open_at(AT_FDCWD, entry.dir_.c_str(), kDirectory);
    if (!fd && fd.error().code == ENOENT) continue;
    if (!fd) return std::unexpected(std::move(fd).error());
    if (::flock(fd->get(), LOCK_EX | LOCK_NB) != 0) return taken;
    if (!still_there(fd->get())) continue;
    if (has_state(fd->get())) return taken;
    entry.fd_ = std::move(*fd);
    if (!made) DAVIT_TRY(entry.remove_half_made());
    return entry;
  }
  return taken;
}

Result<Entry> Entry::lock(const std::string& root, const std::string& id) {
  constexpr int kTries = 1000;
  DAVIT_TRY(check_id(id));
  Entry entry;
  entry.dir_ = root + '/' + id;
  auto fd = kernel::open_at(AT_FDCWD, entry.dir_.c_str(), kDirectory);
  if (!fd && fd.error().code == ENOENT) return fail(0, kNotThere);
  if (!fd) return std::unexpected(std::move(fd).error());
  for (int tries = 0; ::flock(fd->get(), LOCK_EX | LOCK_NB) != 0; tries++) {
    if (errno != EWOULDBLOCK && errno != EINTR) return fail_errno("lock \"" + entry.dir_ + '"');
    if (tries == kTries) return fail(0, "container \"" + id + "\" is being changed by another");
    struct timespec moment = {0, 10'000'000};
    ::nanosleep(&moment, nullptr);
  }
  if (!still_there(fd->get())) return fail(0, kNotThere);
  entry.fd_ = std::move(*fd);
  return entry;
}

void Entry::unlock() {
  fd_.reset();
}

Result<> Entry::remove() {
  DAVIT_TRY(oci::remove_state(dir_));
  if (::rmdir(dir_.c_str()) == 0) return {};
  // A restore's log, or a file that somebody was writing when he was killed.
  if (errno == ENOTEMPTY) DAVIT_TRY(remove_files(dir_));
  if (::rmdir(dir_.c_str()) != 0) return fail_errno("remove \"" + dir_ + '"');
  return {};
}

Result<> Entry::remove_half_made() {
  // The bundle is not known any more: what is needed of it is in the folder, if it came so far.
  DAVIT_TRY(oci::destroy_left_behind("", dir_));
  return remove_files(dir_);
}

const char* name_of(Status status) {
  switch (status) {
    case Status::kCreated:
      return "created";
    case Status::kRunning:
      return "running";
    case Status::kPaused:
      return "paused";
    case Status::kStopped:
      break;
  }
  return "stopped";
}

Result<View> look(const std::string& root, const std::string& id) {
  DAVIT_TRY(check_id(id));
  View view;
  view.dir = root + '/' + id;
  auto state = oci::read_state(view.dir);
  if (!state && state.error().code == ENOENT) return fail(0, kNotThere);
  if (!state) return wrap("state of container \"" + id + '"', std::move(state).error());
  view.state = std::move(*state);
  auto pidfd = oci::open_init(view.state);
  // A zombie has ended.
  if (!pidfd || wait_for_end(pidfd->get(), 0)) return view;
  view.pidfd = std::move(*pidfd);
  if (oci::Cgroup::reopen(view.state.cgroups).frozen().value_or(false))
    view.status = Status::kPaused;
  else
    view.status = waits_for_start(view.dir) ? Status::kCreated : Status::kRunning;
  return view;
}

Result<std::vector<std::string>> list_ids(const std::string& root) {
  DAVIT_ASSIGN(std::vector<std::string> ids, names_in(root));
  std::erase_if(ids, [](const std::string& id) { return !check_id(id); });
  std::sort(ids.begin(), ids.end());
  return ids;
}

bool wait_for_end(int pidfd, int timeout_ms) {
  struct pollfd item = {pidfd, POLLIN, 0};
  int n;
  do {
    n = ::poll(&item, 1, timeout_ms);
  } while (n < 0 && errno == EINTR);
  return n > 0;
}

}  // namespace davit::oci_cli
