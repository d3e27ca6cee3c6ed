#include "native/layer/change_writer.h"

#include <endian.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "native/layer/metadata.h"

namespace davit::layer {
namespace {

constexpr const char* kCapability = "security.capability";

EntryType type_of(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFDIR:
      return EntryType::kDirectory;
    case S_IFLNK:
      return EntryType::kSymlink;
    case S_IFCHR:
      return EntryType::kCharacterDevice;
    case S_IFBLK:
      return EntryType::kBlockDevice;
    case S_IFIFO:
      return EntryType::kFifo;
    default:
      return EntryType::kRegular;
  }
}

Fd open_directory_in(int root, const std::string& path) {
  open_how how{};
  how.flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
  return Fd(static_cast<int>(syscall(SYS_openat2, root, path.c_str(), &how, sizeof how)));
}

}  // namespace

ChangeWriter::ChangeWriter(TarWriter& out, int root, Shown shown, const Cancel& cancel)
    : out_(out), root_(root), shown_(std::move(shown)), cancel_(cancel) {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  now_ = shown_.epoch ? *shown_.epoch : Time{now.tv_sec, 0};
}

Time ChangeWriter::bounded(const timespec& time) const {
  Time exact{time.tv_sec, time.tv_nsec};
  if (shown_.epoch && exact > *shown_.epoch) exact = *shown_.epoch;
  return {exact.seconds, 0};
}

Result<Entry> ChangeWriter::describe(const std::string& path, int parent, const std::string& name,
                                     const struct stat& info) const {
  Entry entry;
  entry.type = type_of(info.st_mode);
  entry.name = entry.type == EntryType::kDirectory ? path + "/" : path;
  entry.mode = info.st_mode & 07777;
  entry.uid = kernel::id_inside(shown_.uids, info.st_uid);
  entry.gid = kernel::id_inside(shown_.gids, info.st_gid);
  entry.modified = bounded(info.st_mtim);
  if (entry.type == EntryType::kRegular) entry.size = info.st_size;
  if (entry.type == EntryType::kCharacterDevice || entry.type == EntryType::kBlockDevice) {
    entry.device_major = major(info.st_rdev);
    entry.device_minor = minor(info.st_rdev);
  }
  if (entry.type == EntryType::kSymlink) {
    entry.link.resize(PATH_MAX);
    ssize_t length = readlinkat(parent, name.c_str(), entry.link.data(), entry.link.size());
    if (length < 0) return fail_errno("read link \"" + path + "\"");
    entry.link.resize(static_cast<size_t>(length));
  }
  return entry;
}

Result<> ChangeWriter::changed(const std::string& path, int parent, const std::string& name,
                               const struct stat& info) {
  if (S_ISSOCK(info.st_mode)) return {};
  DAVIT_ASSIGN(Entry entry, describe(path, parent, name, info));
  std::vector<std::string> others;
  if (!S_ISDIR(info.st_mode) && info.st_nlink > 1) {
    Inode inode{info.st_dev, info.st_ino};
    auto [first, is_new] = first_names_.try_emplace(inode, path);
    if (!is_new) {
      entry.link = first->second;
      return write_links(std::move(entry), {path});
    }
    if (auto it = unchanged_names_.find(inode); it != unchanged_names_.end()) {
      others = std::move(it->second);
      unchanged_names_.erase(it);
    }
  }
  DAVIT_TRY(write(entry, parent, name));
  entry.link = path;
  return write_links(std::move(entry), others);
}

Result<> ChangeWriter::unchanged(const std::string& path, int parent, const std::string& name,
                                 const struct stat& info) {
  if (S_ISDIR(info.st_mode) || S_ISSOCK(info.st_mode) || info.st_nlink < 2) return {};
  Inode inode{info.st_dev, info.st_ino};
  if (auto first = first_names_.find(inode); first != first_names_.end()) {
    DAVIT_ASSIGN(Entry entry, describe(path, parent, name, info));
    entry.link = first->second;
    return write_links(std::move(entry), {path});
  }
  unchanged_names_[inode].push_back(path);
  return {};
}

// Looked at before it is opened: in a tree in use it may have become a device, or a FIFO,
// meanwhile.
Result<Fd> ChangeWriter::open_content(const std::string& path, int parent,
                                      const std::string& name) {
  Fd file(name.empty() ? fcntl(parent, F_DUPFD_CLOEXEC, 0)
                       : openat(parent, name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  struct stat info;
  if (!file || fstat(file.get(), &info) < 0) return fail_errno("open \"" + path + "\"");
  if (!S_ISREG(info.st_mode)) return fail(EAGAIN, "\"" + path + "\" changed while it was read");
  Fd fd(open(proc_path(file.get()).c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return fail_errno("open \"" + path + "\"");
  return fd;
}

// Empty: none. What a user namespace's root has set names that root (revision 3); for the layer it
// is what root sets (revision 2).
std::string ChangeWriter::capability(int fd) const {
  vfs_ns_cap_data data{};
  ssize_t length = fgetxattr(fd, kCapability, &data, sizeof data);
  if (length <= 0) return {};
  uint32_t magic = le32toh(data.magic_etc);
  if (length == XATTR_CAPS_SZ_3 && (magic & VFS_CAP_REVISION_MASK) == VFS_CAP_REVISION_3 &&
      !shown_.uids.empty() && kernel::id_inside(shown_.uids, le32toh(data.rootid)) == 0) {
    data.magic_etc = htole32(VFS_CAP_REVISION_2 | (magic & VFS_CAP_FLAGS_EFFECTIVE));
    length = XATTR_CAPS_SZ_2;
  }
  return std::string(reinterpret_cast<const char*>(&data), static_cast<size_t>(length));
}

// `entry` as hard links from `names` to its `link`.
Result<> ChangeWriter::write_links(Entry entry, const std::vector<std::string>& names) {
  entry.type = EntryType::kHardLink;
  entry.size = 0;
  for (const std::string& name : names) {
    entry.name = name;
    DAVIT_TRY(parents(name));
    DAVIT_TRY(out_.header(entry));
  }
  return {};
}

Result<> ChangeWriter::write(Entry& entry, int parent, const std::string& name) {
  std::string path = entry.name;
  DAVIT_TRY(parents(path));
  if (entry.type == EntryType::kDirectory) {
    directories_.insert(path.substr(0, path.size() - 1));
  }
  if (entry.type != EntryType::kRegular) return out_.header(entry);

  DAVIT_ASSIGN(Fd fd, open_content(path, parent, name));
  if (std::string value = capability(fd.get()); !value.empty()) {
    entry.xattrs[kCapability] = std::move(value);
  }
  DAVIT_TRY(out_.header(entry));
  if (Result<> copied = out_.data(fd.get(), entry.size, cancel_); !copied) {
    return wrap("\"" + path + "\"", std::move(copied).error());
  }
  return {};
}

// Writes the directories above `path` that are not in the archive yet.
Result<> ChangeWriter::parents(const std::string& path) {
  size_t end = path.size() - (path.ends_with('/') ? 1 : 0);
  size_t slash = path.rfind('/', end - 1);
  if (slash == std::string::npos || directories_.contains(path.substr(0, slash))) return {};
  for (size_t at = path.find('/'); at != std::string::npos && at <= slash;
       at = path.find('/', at + 1)) {
    std::string above = path.substr(0, at);
    if (!directories_.insert(above).second) continue;
    Fd fd = open_directory_in(root_, above);
    struct stat info;
    if (!fd || fstat(fd.get(), &info) < 0) return fail_errno("open \"" + above + "\"");
    DAVIT_ASSIGN(Entry entry, describe(above, fd.get(), "", info));
    DAVIT_TRY(out_.header(entry));
  }
  return {};
}

Result<> ChangeWriter::whiteout(const std::string& path) {
  Entry entry;
  entry.name = path;
  entry.modified = {now_.seconds, 0};
  DAVIT_TRY(parents(path));
  return out_.header(entry);
}

Result<> ChangeWriter::deleted(const std::string& path) {
  size_t slash = path.rfind('/');
  size_t base = slash == std::string::npos ? 0 : slash + 1;
  return whiteout(path.substr(0, base) + ".wh." + path.substr(base));
}

Result<> ChangeWriter::opaque(const std::string& path) {
  return whiteout(path.empty() ? ".wh..wh..opq" : path + "/.wh..wh..opq");
}

}  // namespace davit::layer
