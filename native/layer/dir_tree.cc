#include "native/layer/dir_tree.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <climits>
#include <set>

#include "native/layer/dir_stack.h"
#include "native/layer/remove.h"

namespace davit::layer {

struct DirTree::Dir {
  Dir* parent = nullptr;
  std::string name;
  size_t depth = 0;
  size_t hash = 0;
  Fd upper;                // in the written tree; empty while only lowers have it
  std::vector<Fd> lowers;  // the lower directories merged into it, from the topmost down
  std::unordered_map<std::string, std::unique_ptr<Dir>> children;
  std::list<Dir*>::iterator recent;
  size_t pins = 0;
  bool hides = false;  // loose trees: nothing of what will be below shows in it

  size_t descriptors() const { return (upper ? 1 : 0) + lowers.size(); }
};

void DirTree::Unpin::operator()(Dir* dir) const {
  dir->pins--;
}

namespace {

std::vector<std::string> split(std::string_view path) {
  std::vector<std::string> parts;
  for (size_t from = 0; from < path.size();) {
    size_t to = std::min(path.find('/', from), path.size());
    if (to > from && path.substr(from, to - from) != ".") {
      parts.emplace_back(path.substr(from, to - from));
    }
    from = to + 1;
  }
  return parts;
}

DirTree::Pin pin(DirTree::Dir* dir) {
  dir->pins++;
  return DirTree::Pin(dir);
}

}  // namespace

Result<std::unique_ptr<DirTree>> DirTree::open(Fd upper, std::vector<Fd> lowers, bool overlay,
                                               OverlayMarks marks, const Cancel& cancel) {
  std::unique_ptr<DirTree> tree(new DirTree(overlay, marks, cancel));
  DAVIT_TRY(tree->begin_tally(upper.get()));
  tree->lowers_known_ = !lowers.empty();
  tree->add(nullptr, "", std::move(upper), std::move(lowers));
  return tree;
}

DirTree::DirTree(bool overlay, OverlayMarks marks, const Cancel& cancel)
    : overlay_(overlay), marks_(marks), cancel_(cancel) {}

DirTree::~DirTree() = default;

DirTree::Dir* DirTree::add(Dir* parent, std::string name, Fd upper, std::vector<Fd> lowers) {
  auto owned = std::make_unique<Dir>();
  Dir* dir = owned.get();
  dir->parent = parent;
  dir->name = name;
  dir->upper = std::move(upper);
  dir->lowers = std::move(lowers);
  if (parent != nullptr) {
    dir->depth = parent->depth + 1;
    dir->hash = hash_of(*parent, name);
    dir->hides = loose() && (parent->hides || is_opaque(dir->upper.get(), marks_));
    parent->children.insert_or_assign(std::move(name), std::move(owned));
  } else {
    root_ = std::move(owned);
  }
  descriptors_ += dir->descriptors();
  auto behind_parent = parent == nullptr ? recent_.begin() : std::next(parent->recent);
  dir->recent = recent_.insert(behind_parent, dir);
  return dir;
}

size_t DirTree::hash_of(const Dir& dir, std::string_view name) {
  constexpr size_t kMix = 0x9e3779b97f4a7c15;
  return (dir.hash ^ std::hash<std::string_view>()(name)) * kMix + 1;
}

std::string DirTree::path_of(const Dir& dir, std::string_view name) const {
  std::vector<std::string_view> names = {name};
  for (const Dir* at = &dir; at->parent != nullptr; at = at->parent) names.push_back(at->name);
  std::string path;
  for (auto it = names.rbegin(); it != names.rend(); ++it) {
    if (!path.empty() && !it->empty()) path += '/';
    path += *it;
  }
  return path;
}

// The cache

void DirTree::touch(Dir& dir) {
  for (Dir* at = &dir; at != nullptr; at = at->parent) {
    recent_.splice(recent_.begin(), recent_, at->recent);
  }
}

// Closes the least recently used directories; never `dir` or its parents, and nothing pinned. As a
// parent stands before its children, the last of the list has none.
void DirTree::trim(Dir& dir) {
  if (descriptors_ <= kCachedDescriptors) return;
  touch(dir);
  while (descriptors_ > kCachedDescriptors && recent_.size() > dir.depth + 1) {
    Dir* last = recent_.back();
    if (last->pins > 0) return;
    drop(*last);
    last->parent->children.erase(std::string(last->name));
  }
}

void DirTree::drop(Dir& dir) {
  for (auto& [name, child] : dir.children) drop(*child);
  descriptors_ -= dir.descriptors();
  recent_.erase(dir.recent);
}

// `name` in `dir` is about to become something else.
void DirTree::forget(Dir& dir, const std::string& name) {
  if (auto it = dir.children.find(name); it != dir.children.end()) {
    drop(*it->second);
    dir.children.erase(it);
  }
  if (times_.empty() && deferred_.empty()) return;
  std::string path = path_of(dir, name);
  deferred_.replaced(path);
  times_.erase(path);
  std::string below = path + "/";
  auto begin = times_.lower_bound(below);
  auto end = begin;
  while (end != times_.end() && end->first.starts_with(below)) ++end;
  times_.erase(begin, end);
}

// Looking up

// The child `name`, or null and what is there instead of a directory.
Result<DirTree::Dir*> DirTree::open_child(Dir& dir, const std::string& name, Presence* found) {
  Fd upper;
  if (dir.upper) {
    upper = open_directory(dir.upper.get(), name);
    if (!upper && errno != ENOENT) {
      if (errno != ENOTDIR && errno != ELOOP) return fail_errno("open directory");
      struct stat info;
      if (fstatat(dir.upper.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) < 0) {
        return fail_errno("stat");
      }
      *found = S_ISLNK(info.st_mode) ? Presence::kSymlink : Presence::kOther;
      if (overlay_ && is_whiteout(info)) *found = Presence::kAbsent;
      return nullptr;
    }
  }
  std::vector<Fd> lowers;
  *found = upper ? Presence::kDirectory : Presence::kAbsent;
  if (!dir.lowers.empty() && !(upper && is_opaque(upper.get(), marks_))) {
    DAVIT_ASSIGN(Presence below, open_lower_dirs(dir.lowers, name, marks_, &lowers));
    if (!upper) *found = below;
  }
  if (*found != Presence::kDirectory) return nullptr;
  return add(&dir, name, std::move(upper), std::move(lowers));
}

Result<std::string> DirTree::read_link(const Dir& dir, const std::string& name) {
  std::string target(PATH_MAX, '\0');
  auto read = [&](const Fd& fd) {
    return readlinkat(fd.get(), name.c_str(), target.data(), target.size());
  };
  ssize_t length = -1;
  errno = ENOENT;
  if (dir.upper) length = read(dir.upper);
  for (auto it = dir.lowers.begin(); length < 0 && errno == ENOENT && it != dir.lowers.end();
       ++it) {
    length = read(*it);
  }
  if (length < 0) return fail_errno("read link");
  target.resize(static_cast<size_t>(length));
  return target;
}

Result<DirTree::Pin> DirTree::resolve(std::string_view path, bool create) {
  std::vector<std::string> pending = split(path);
  std::vector<std::string> todo(pending.rbegin(), pending.rend());  // the next name is the last
  Dir* at = root_.get();
  size_t links = 0;
  for (size_t steps = 0; !todo.empty(); steps++) {
    if (steps == kMaxSteps) return fail(ENAMETOOLONG, "path is too deep");
    std::string name = std::move(todo.back());
    todo.pop_back();
    if (name == "..") {
      if (at->parent != nullptr) at = at->parent;
      continue;
    }
    if (auto it = at->children.find(name); it != at->children.end()) {
      at = it->second.get();
      continue;
    }
    Presence found;
    DAVIT_ASSIGN(Dir * child, open_child(*at, name, &found));
    if (child != nullptr) {
      at = child;
    } else if (found == Presence::kSymlink) {
      if (++links > kMaxLinks) return fail(ELOOP, "too many symbolic links");
      DAVIT_ASSIGN(std::string target, read_link(*at, name));
      if (target.starts_with('/')) at = root_.get();
      std::vector<std::string> parts = split(target);
      todo.insert(todo.end(), parts.rbegin(), parts.rend());
    } else if (found == Presence::kOther) {
      return fail(ENOTDIR, "\"" + path_of(*at, name) + "\" is in the way");
    } else if (create) {
      DAVIT_ASSIGN(Pin made, make_directory(*at, name));
      at = made.get();
      if (fchmod(at->upper.get(), 0755) < 0) return fail_errno("set mode of implied directory");
      if (loose() && !at->hides) deferred_.implied(path_of(*at));
    } else {
      return fail(ENOENT, "\"" + path_of(*at, name) + "\"");
    }
    trim(*at);
  }
  touch(*at);
  return pin(at);
}

// Changing

Result<int> DirTree::writable(Dir& dir) {
  if (dir.upper) return dir.upper.get();
  DAVIT_ASSIGN(int parent, writable(*dir.parent));
  struct stat info;
  if (fstat(dir.lowers.front().get(), &info) < 0) return fail_errno("stat lower directory");
  if (mkdirat(parent, dir.name.c_str(), 0700) < 0) return fail_errno("create directory");
  tally_.directory();
  dir.upper = open_directory(parent, dir.name);
  if (!dir.upper) return fail_errno("open created directory");
  descriptors_++;
  DAVIT_TRY(copy_ownership(dir.lowers.front().get(), info, dir.upper.get()));
  remember_times(dir, {info.st_atim, info.st_mtim});
  return dir.upper.get();
}

// Whether a lower directory would shine through a new, unmarked directory `name`.
Result<bool> DirTree::hides_something(const Dir& dir, const std::string& name) {
  if (!lowers_known_) return overlay_;
  std::vector<Fd> opened;
  DAVIT_TRY(open_lower_dirs(dir.lowers, name, marks_, &opened));
  return !opened.empty();
}

Result<DirTree::Pin> DirTree::make_directory(Dir& dir, const std::string& name) {
  if (auto it = dir.children.find(name); it != dir.children.end()) {
    DAVIT_TRY(writable(*it->second));
    return pin(it->second.get());
  }
  DAVIT_ASSIGN(int parent, writable(dir));
  bool replaced = false;
  bool created = mkdirat(parent, name.c_str(), 0755) == 0;
  if (!created) {
    if (errno != EEXIST) return fail_errno("create directory");
    struct stat info;
    if (fstatat(parent, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) < 0) return fail_errno("stat");
    if (!S_ISDIR(info.st_mode)) {
      DAVIT_TRY(clear(dir, name));
      if (mkdirat(parent, name.c_str(), 0755) < 0) return fail_errno("create directory");
      replaced = true;
    }
  }
  if (created || replaced) tally_.directory();
  Fd upper = open_directory(parent, name);
  if (!upper) return fail_errno("open created directory");
  std::vector<Fd> lowers;
  if (replaced && overlay_) {
    DAVIT_ASSIGN(bool hides, hides_something(dir, name));
    if (hides && fsetxattr(upper.get(), marks_.opaque(), "y", 1, 0) < 0) {
      return fail_errno("mark directory opaque");
    }
    marked_ += hides ? 1 : 0;
  } else if (!dir.lowers.empty() && !is_opaque(upper.get(), marks_)) {
    DAVIT_TRY(open_lower_dirs(dir.lowers, name, marks_, &lowers));
    if (created && !lowers.empty()) DAVIT_TRY(copy_xattrs(lowers.front().get(), upper.get()));
  }
  return pin(add(&dir, name, std::move(upper), std::move(lowers)));
}

Result<> DirTree::clear(Dir& dir, const std::string& name) {
  forget(dir, name);
  if (!dir.upper) return {};
  struct stat info;
  if (fstatat(dir.upper.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT) {
    return {};
  }
  tally_.lose();
  return remove_tree(dir.upper.get(), name, path_of(dir), cancel_);
}

Result<> DirTree::white_out(Dir& dir, const std::string& name, uint32_t uid, uint32_t gid) {
  DAVIT_TRY(clear(dir, name));
  if (!overlay_) return {};
  if (lowers_known_) {
    std::vector<Fd> opened;
    DAVIT_ASSIGN(Presence below, open_lower_dirs(dir.lowers, name, marks_, &opened));
    if (below == Presence::kAbsent) return {};
  }
  if (dir.hides) return {};
  DAVIT_ASSIGN(int parent, writable(dir));
  if (loose() && dir.depth > 0) deferred_.whited_out(path_of(dir));
  if (mknodat(parent, name.c_str(), S_IFCHR, 0) < 0) return fail_errno("create whiteout");
  tally_.inode();
  marked_++;
  if (fchownat(parent, name.c_str(), uid, gid, AT_SYMLINK_NOFOLLOW) < 0) {
    return fail_errno("set owner of whiteout");
  }
  return {};
}

Result<> DirTree::make_opaque(Dir& dir) {
  if (&dir == root_.get()) return hide_below_root();
  DAVIT_ASSIGN(int fd, writable(dir));
  if (loose() && !dir.hides) {
    DAVIT_ASSIGN(std::vector<DirEntry> before, list_directory(fd));
    deferred_.made_opaque(path_of(dir), !before.empty());
    dir.hides = true;
  }
  if (fsetxattr(fd, marks_.opaque(), "y", 1, 0) < 0) return fail_errno("mark directory opaque");
  marked_++;
  descriptors_ -= dir.lowers.size();
  dir.lowers.clear();
  for (auto& [name, child] : dir.children) drop(*child);
  dir.children.clear();
  return {};
}

// overlayfs merges the root however it is marked: what is below is hidden name by name.
Result<> DirTree::hide_below_root() {
  if (loose()) {
    deferred_.lose();
    return {};
  }
  std::set<std::string> names;
  for (const Fd& lower : root_->lowers) {
    DAVIT_ASSIGN(std::vector<DirEntry> entries, list_directory(lower.get()));
    for (DirEntry& entry : entries) names.insert(std::move(entry.name));
  }
  for (const std::string& name : names) {
    DAVIT_TRY(cancel_.check());
    struct stat info;
    if (fstatat(root_->upper.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) < 0) {
      if (errno != ENOENT) return fail_errno("stat");
      DAVIT_TRY(white_out(*root_, name, 0, 0));
    } else if (S_ISDIR(info.st_mode)) {
      DAVIT_ASSIGN(Pin child, make_directory(*root_, name));
      DAVIT_TRY(make_opaque(*child));
    }
  }
  return {};
}

Result<> DirTree::copy_up(Dir& dir, const std::string& name) {
  struct stat info;
  if (dir.upper) {
    if (fstatat(dir.upper.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0) {
      if (overlay_ && is_whiteout(info)) return fail(ENOENT, "whited out");
      return {};
    }
    if (errno != ENOENT) return fail_errno("stat");
  }
  for (const Fd& lower : dir.lowers) {
    if (fstatat(lower.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) < 0) {
      if (errno == ENOENT) continue;
      return fail_errno("stat in lower directory");
    }
    if (is_whiteout(info)) break;
    if (S_ISDIR(info.st_mode)) return fail(EPERM, "is a directory");
    DAVIT_ASSIGN(int parent, writable(dir));
    tally_.lose();
    return copy_file(lower.get(), parent, name);
  }
  return fail(ENOENT, "no such file");
}

void DirTree::described(const Dir& dir, const timespec (&times)[2]) {
  remember_times(dir, times);
  if (!deferred_.empty()) deferred_.described(path_of(dir));
}

void DirTree::remember_times(const Dir& dir, const timespec (&times)[2]) {
  times_.insert_or_assign(path_of(dir), Times{{times[0], times[1]}});
}

Result<> DirTree::restore_times() {
  for (const auto& [path, wanted] : times_) {
    DAVIT_TRY(cancel_.check());
    Result<Pin> dir = resolve(path, false);
    if (!dir || !(*dir)->upper) continue;  // gone again
    if (futimens((*dir)->upper.get(), wanted.times) < 0) {
      return fail_errno("set times of \"" + path + "\"");
    }
    DAVIT_TRY(measure(**dir));
  }
  times_.clear();
  if (deferred_.lost()) tally_.lose();
  for (const auto& [path, directory] : deferred_.directories()) {
    if (directory.described) continue;
    DAVIT_TRY(cancel_.check());
    DAVIT_ASSIGN(Pin dir, resolve(path, false));
    DAVIT_TRY(measure(*dir));
  }
  return measure(*root_);
}

Result<> DirTree::begin_tally(int root) {
  struct statvfs system;
  struct stat info;
  if (fstatvfs(root, &system) < 0 || fstat(root, &info) < 0) return fail_errno("stat");
  tally_.sizes(static_cast<int64_t>(system.f_bsize), static_cast<int64_t>(info.st_blocks) * 512);
  tally_.directory();
  DAVIT_ASSIGN(std::vector<DirEntry> before, list_directory(root));
  if (!before.empty()) tally_.lose();
  return {};
}

// A directory grows with what is put into it.
Result<> DirTree::measure(const Dir& dir) {
  struct stat info;
  if (fstat(dir.upper.get(), &info) < 0) return fail_errno("stat");
  tally_.measured(static_cast<int64_t>(info.st_blocks) * 512);
  return {};
}

}  // namespace davit::layer
