#include "native/layer/remove.h"

#include <dirent.h>
#include <fcntl.h>

#include <vector>

#include "native/layer/dir_stack.h"

namespace davit::layer {
namespace {

std::unexpected<Error> cannot(int code, const std::string& path) {
  if (code == EXDEV) code = EBUSY;  // something is mounted there
  std::string why;
  if (code == EBUSY) why = " (a mount point)";
  if (code == EPERM) why = " (immutable or append-only)";
  return fail(code, "remove \"" + path + "\"" + why);
}

// Removes what is not a directory and what is an empty one, and returns the directories left over.
Result<std::vector<std::string>> sweep(const DirStack& stack) {
  std::vector<std::string> full;
  DAVIT_ASSIGN(std::vector<DirEntry> entries, stack.list());
  for (const DirEntry& entry : entries) {
    bool directory = entry.type == DT_DIR;
    if (!directory && unlinkat(stack.fd(), entry.name.c_str(), 0) < 0 && errno != ENOENT) {
      if (errno != EISDIR) return cannot(errno, stack.path(entry.name));
      directory = true;
    }
    if (directory && unlinkat(stack.fd(), entry.name.c_str(), AT_REMOVEDIR) < 0 &&
        errno != ENOENT) {
      if (errno != ENOTEMPTY && errno != EEXIST) return cannot(errno, stack.path(entry.name));
      full.push_back(entry.name);
    }
  }
  return full;
}

Result<> remove_below(DirStack stack, const Cancel& cancel) {
  std::vector<std::vector<std::string>> full;  // per level, the directories still to be emptied
  DAVIT_ASSIGN(std::vector<std::string> first, sweep(stack));
  full.push_back(std::move(first));
  for (;;) {
    DAVIT_TRY(cancel.check());
    if (!full.back().empty()) {
      std::string name = full.back().back();
      if (Result<> entered = stack.enter(name); !entered) {
        return cannot(entered.error().code, stack.path(name));
      }
      DAVIT_ASSIGN(std::vector<std::string> inner, sweep(stack));
      full.push_back(std::move(inner));
      continue;
    }
    full.pop_back();
    if (full.empty()) return {};
    std::string name = std::move(full.back().back());
    full.back().pop_back();
    DAVIT_TRY(stack.leave());
    if (unlinkat(stack.fd(), name.c_str(), AT_REMOVEDIR) < 0 && errno != ENOENT) {
      return cannot(errno, stack.path(name));
    }
  }
}

}  // namespace

Result<> remove_tree(int parent, const std::string& name, const std::string& label,
                     const Cancel& cancel) {
  std::string path = label + "/" + name;
  if (unlinkat(parent, name.c_str(), 0) == 0 || errno == ENOENT) return {};
  if (errno != EISDIR) return cannot(errno, path);
  if (unlinkat(parent, name.c_str(), AT_REMOVEDIR) == 0) return {};
  if (errno != ENOTEMPTY && errno != EEXIST) return cannot(errno, path);

  DAVIT_ASSIGN(DirStack around, DirStack::open(Fd(fcntl(parent, F_DUPFD_CLOEXEC, 0)), label));
  if (Result<> entered = around.enter(name); !entered) return cannot(entered.error().code, path);
  DAVIT_TRY(remove_contents(around.fd(), path, cancel));
  if (unlinkat(parent, name.c_str(), AT_REMOVEDIR) < 0 && errno != ENOENT) {
    return cannot(errno, path);
  }
  return {};
}

Result<> remove_contents(int fd, const std::string& label, const Cancel& cancel) {
  Fd own(openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!own) return fail_errno("open \"" + label + "\"");
  DAVIT_ASSIGN(DirStack stack, DirStack::open(std::move(own), label));
  return remove_below(std::move(stack), cancel);
}

}  // namespace davit::layer
