#include "native/layer/entry_writer.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cstring>

#include "native/layer/dir_stack.h"
#include "native/layer/remove.h"
#include "native/layer/write_all.h"

namespace davit::layer {
namespace {

constexpr std::string_view kWhiteout = ".wh.";
constexpr std::string_view kOpaque = ".wh..wh..opq";
constexpr std::string_view kAufsMetadata = ".wh..wh.";
// Bytes of a file that the disk is told of at once, a power of two; and how few are not worth a
// call.
constexpr int64_t kWriteBackStep = 1 << 20;
constexpr int64_t kWriteBackLeast = 64 << 10;

struct SplitName {
  std::string parent;
  std::string base;  // empty when the name is the root itself
};

SplitName split_name(std::string_view name) {
  std::vector<std::string_view> parts = clean_parts(name);
  SplitName split;
  for (size_t i = 0; i < parts.size(); i++) {
    if (i + 1 == parts.size()) {
      split.base = parts[i];
    } else {
      if (i > 0) split.parent += '/';
      split.parent += parts[i];
    }
  }
  return split;
}

bool is_aufs_metadata(const SplitName& name) {
  if (name.base == kOpaque) return name.parent.starts_with(kAufsMetadata);
  return name.base.starts_with(kAufsMetadata) || name.parent.starts_with(kAufsMetadata) ||
         name.parent.find("/.wh..wh.") != std::string::npos;
}

// Times before 1970 or beyond what nanoseconds in 64 bits hold become 1970, as containerd has it.
timespec bounded(const Time& time) {
  constexpr int64_t kLast = INT64_MAX / 1'000'000'000;
  if (time.seconds < 0 || time.seconds > kLast) return {0, 0};
  return {time.seconds, time.nanoseconds};
}

void fill_times(const Entry& entry, timespec (&times)[2]) {
  times[1] = bounded(entry.modified);
  times[0] = times[1];
  if (entry.accessed && *entry.accessed > entry.modified) times[0] = bounded(*entry.accessed);
}

// In a user namespace devices cannot be made; the entry is then left out, as containerd does.
bool in_user_namespace() {
  Fd map(open("/proc/self/uid_map", O_RDONLY | O_CLOEXEC));
  char text[64] = {};
  if (!map || read(map.get(), text, sizeof text - 1) <= 0) return false;
  unsigned long inside = 0, outside = 0, count = 0;
  if (std::sscanf(text, "%lu %lu %lu", &inside, &outside, &count) != 3) return false;
  return inside != 0 || outside != 0 || count != UINT32_MAX;
}

}  // namespace

std::vector<std::string_view> clean_parts(std::string_view name) {
  std::vector<std::string_view> parts;
  for (size_t from = 0; from < name.size();) {
    size_t to = std::min(name.find('/', from), name.size());
    std::string_view part = name.substr(from, to - from);
    from = to + 1;
    if (part.empty() || part == ".") continue;
    if (part != "..") {
      parts.push_back(part);
    } else if (!parts.empty()) {
      parts.pop_back();
    }
  }
  return parts;
}

Result<> EntryWriter::write(const Entry& entry) {
  if (entry.name.size() >= PATH_MAX) return fail(ENAMETOOLONG, "name is too long");
  SplitName name = split_name(entry.name);
  if (name.base.empty()) return {};
  if (kind_ == Kind::kFiles) {
    DAVIT_ASSIGN(DirTree::Pin parent, tree_.resolve(name.parent, true));
    DAVIT_TRY(keeps_kind(*parent, name.base, entry));
    return create(*parent, name.base, entry);
  }
  if (is_aufs_metadata(name)) return {};
  DAVIT_ASSIGN(DirTree::Pin parent, tree_.resolve(name.parent, true));
  if (name.base.starts_with(kWhiteout)) return white_out(*parent, name.base, entry);
  DAVIT_TRY(create(*parent, name.base, entry));
  if (!tree_.overlay()) written_.insert(DirTree::hash_of(*parent, name.base));
  return {};
}

Result<> EntryWriter::white_out(DirTree::Dir& parent, const std::string& base, const Entry& entry) {
  if (base == kOpaque) return tree_.overlay() ? tree_.make_opaque(parent) : remove_older(parent);
  std::string target = base.substr(kWhiteout.size());
  if (target.empty() || target == "." || target == "..") {
    return fail(EBADMSG, "invalid whiteout name");
  }
  return tree_.white_out(parent, target, entry.uid, entry.gid);
}

// An opaque marker in a plain tree: removes what this layer has not written below `dir`. Once is
// enough, and keeps many markers from reading the same directories again and again.
Result<> EntryWriter::remove_older(DirTree::Dir& dir) {
  if (!emptied_.insert(DirTree::hash_of(dir, {})).second) return {};
  DAVIT_ASSIGN(int fd, tree_.writable(dir));
  Result<std::vector<DirEntry>> entries = list_directory(fd);
  if (!entries) return std::unexpected(std::move(entries).error());
  for (const DirEntry& entry : *entries) {
    DAVIT_TRY(cancel_.check());
    if (!written_.contains(DirTree::hash_of(dir, entry.name))) {
      DAVIT_TRY(tree_.clear(dir, entry.name));
      continue;
    }
    struct stat info;
    if (fstatat(fd, entry.name.c_str(), &info, AT_SYMLINK_NOFOLLOW) < 0) continue;
    if (!S_ISDIR(info.st_mode)) continue;
    DAVIT_ASSIGN(DirTree::Pin child, tree_.make_directory(dir, entry.name));
    DAVIT_TRY(remove_older(*child));
  }
  return {};
}

Result<> EntryWriter::keeps_kind(DirTree::Dir& parent, const std::string& base,
                                 const Entry& entry) {
  DAVIT_ASSIGN(int dir, tree_.writable(parent));
  struct stat info;
  if (fstatat(dir, base.c_str(), &info, AT_SYMLINK_NOFOLLOW) < 0) return {};
  bool directory = entry.type == EntryType::kDirectory;
  if (directory == S_ISDIR(info.st_mode)) return {};
  return directory ? fail(ENOTDIR, "cannot overwrite what is no directory with a directory")
                   : fail(EISDIR, "cannot overwrite a directory with what is none");
}

Result<> EntryWriter::create(DirTree::Dir& parent, const std::string& base, const Entry& entry) {
  switch (entry.type) {
    case EntryType::kDirectory:
      return directory(parent, base, entry);
    case EntryType::kRegular:
      return regular(parent, base, entry);
    case EntryType::kHardLink:
      return hard_link(parent, base, entry);
    default:
      return special(parent, base, entry);
  }
}

Result<> EntryWriter::directory(DirTree::Dir& parent, const std::string& base, const Entry& entry) {
  DAVIT_ASSIGN(DirTree::Pin dir, tree_.make_directory(parent, base));
  DAVIT_ASSIGN(int fd, tree_.writable(*dir));
  if (fchown(fd, entry.uid, entry.gid) < 0) return fail_errno("set owner");
  DAVIT_TRY(set_xattrs(fd, entry));
  if (fchmod(fd, entry.mode) < 0) return fail_errno("set mode");
  timespec times[2];
  fill_times(entry, times);
  tree_.described(*dir, times);
  return {};
}

Result<> EntryWriter::regular(DirTree::Dir& parent, const std::string& base, const Entry& entry) {
  DAVIT_ASSIGN(int dir, tree_.writable(parent));
  constexpr int kFlags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
  mode_t mode = entry.mode & 0777;
  Fd fd(openat(dir, base.c_str(), kFlags, mode));
  if (!fd && errno == EEXIST) {
    DAVIT_TRY(tree_.clear(parent, base));
    fd = Fd(openat(dir, base.c_str(), kFlags, mode));
  }
  if (!fd) return fail_errno("create file");
  if (entry.sparse) tree_.tally().lose();
  tree_.tally().file(entry.size);
  DAVIT_TRY(copy_data(fd.get(), entry));
  // Most files are root's, and have their mode already unless the umask, a directory's setgid bit
  // or its default ACL has a say: asking is cheaper than setting.
  struct stat made;
  if (fstat(fd.get(), &made) < 0) return fail_errno("stat");
  bool owned = made.st_uid == entry.uid && made.st_gid == entry.gid;
  if (!owned && fchown(fd.get(), entry.uid, entry.gid) < 0) return fail_errno("set owner");
  DAVIT_TRY(set_xattrs(fd.get(), entry));
  // After the owner, because a change of owner clears setuid and setgid.
  bool moded = owned && entry.xattrs.empty() && (made.st_mode & 07777) == entry.mode;
  if (!moded && fchmod(fd.get(), entry.mode) < 0) return fail_errno("set mode");
  timespec times[2];
  fill_times(entry, times);
  if (futimens(fd.get(), times) < 0) return fail_errno("set times");
  return {};
}

Result<> EntryWriter::copy_data(int fd, const Entry& entry) {
  if (entry.sparse && ftruncate(fd, entry.size) < 0) return fail_errno("set file size");
  // The tree is synced when it is committed. The disk takes what it can before: an error of that is
  // the sync's to report.
  int64_t begun = 0;
  int64_t end = 0;
  auto begin_until = [&](int64_t to) {
    sync_file_range(fd, begun, to - begun, SYNC_FILE_RANGE_WRITE);
    begun = to;
  };
  for (;;) {
    DAVIT_ASSIGN(TarReader::Piece piece, reader_.data());
    if (piece.bytes.empty()) break;
    DAVIT_TRY(cancel_.check());
    DAVIT_TRY(write_all_at(fd, piece.bytes, piece.offset, "write"));
    end = piece.offset + static_cast<int64_t>(piece.bytes.size());
    if (end - begun >= kWriteBackStep) begin_until(end & ~(kWriteBackStep - 1));
  }
  if (end - begun >= kWriteBackLeast) begin_until(end);
  return {};
}

Result<> EntryWriter::hard_link(DirTree::Dir& parent, const std::string& base, const Entry& entry) {
  if (entry.link.size() >= PATH_MAX) return fail(ENAMETOOLONG, "link target is too long");
  SplitName target = split_name(entry.link);
  if (target.base.empty()) return fail(EPERM, "hard link to the root directory");
  DAVIT_TRY(tree_.clear(parent, base));
  DAVIT_ASSIGN(int to, tree_.writable(parent));
  std::string context = "hard link to \"" + entry.link + "\"";
  Result<DirTree::Pin> dir = tree_.resolve(target.parent, false);
  if (!dir) return wrap(context, std::move(dir).error());
  if (Result<> up = tree_.copy_up(**dir, target.base); !up) return wrap(context, up.error());
  DAVIT_ASSIGN(int from, tree_.writable(**dir));
  if (linkat(from, target.base.c_str(), to, base.c_str(), 0) < 0) return fail_errno(context);
  return finish_by_name(to, base, entry);
}

Result<> EntryWriter::special(DirTree::Dir& parent, const std::string& base, const Entry& entry) {
  DAVIT_ASSIGN(int dir, tree_.writable(parent));
  auto make = [&] {
    dev_t device = makedev(entry.device_major, entry.device_minor);
    switch (entry.type) {
      case EntryType::kSymlink:
        return symlinkat(entry.link.c_str(), dir, base.c_str());
      case EntryType::kCharacterDevice:
        return mknodat(dir, base.c_str(), S_IFCHR | 0600, device);
      case EntryType::kBlockDevice:
        return mknodat(dir, base.c_str(), S_IFBLK | 0600, device);
      default:
        return mknodat(dir, base.c_str(), S_IFIFO | 0600, 0);
    }
  };
  int made = make();
  if (made < 0 && errno == EEXIST) {
    DAVIT_TRY(tree_.clear(parent, base));
    made = make();
  }
  bool device = entry.type == EntryType::kCharacterDevice || entry.type == EntryType::kBlockDevice;
  if (made < 0 && errno == EPERM && device && in_user_namespace()) return {};
  if (made < 0) return fail_errno("create");
  tree_.tally().inode();
  return finish_by_name(dir, base, entry);
}

// Sets the metadata of what is not opened for its content: a link, a device, a fifo.
Result<> EntryWriter::finish_by_name(int parent, const std::string& base, const Entry& entry) {
  struct stat info;
  if (fchownat(parent, base.c_str(), entry.uid, entry.gid, AT_SYMLINK_NOFOLLOW) < 0) {
    return fail_errno("set owner");
  }
  bool symlink = entry.type == EntryType::kSymlink;
  if (entry.type == EntryType::kHardLink) {  // perhaps to a symbolic link
    if (fstatat(parent, base.c_str(), &info, AT_SYMLINK_NOFOLLOW) < 0) return fail_errno("stat");
    symlink = S_ISLNK(info.st_mode);
  }
  if (!symlink || !entry.xattrs.empty()) {
    Fd fd(openat(parent, base.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    if (!fd) return fail_errno("open");
    DAVIT_TRY(set_xattrs(fd.get(), entry));
    // O_PATH: a device is not to be opened, and fchmod refuses such descriptors.
    if (!symlink && chmod(proc_path(fd.get()).c_str(), entry.mode) < 0) {
      return fail_errno("set mode");
    }
  }
  timespec times[2];
  fill_times(entry, times);
  if (utimensat(parent, base.c_str(), times, AT_SYMLINK_NOFOLLOW) < 0) {
    return fail_errno("set times");
  }
  return {};
}

// Attributes of the trusted class, and overlayfs's own, are never taken from an archive: they steer
// the kernel, not the container.
Result<> EntryWriter::set_xattrs(int fd, const Entry& entry) {
  for (const auto& [key, value] : entry.xattrs) {
    if (key.starts_with("trusted.") || key.starts_with(OverlayMarks{true}.prefix())) continue;
    DAVIT_TRY(set_xattr(fd, key, value));
  }
  return {};
}

}  // namespace davit::layer
