#include "native/layer/erofs_image.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <map>
#include <memory>
#include <vector>

#include "native/layer/dir_stack.h"
#include "native/layer/erofs_data.h"
#include "native/layer/erofs_directory.h"
#include "native/layer/erofs_file.h"
#include "native/layer/erofs_format.h"
#include "native/layer/erofs_xattrs.h"
#include "native/layer/metadata.h"

namespace davit::layer {
namespace {

using erofs::kBlock;
using erofs::Layout;

std::span<const uint8_t> bytes_of(const erofs::Inode& inode) {
  return {reinterpret_cast<const uint8_t*>(&inode), sizeof inode};
}

uint32_t encode_device(dev_t device) {
  unsigned low = minor(device);
  return (low & 0xff) | (major(device) << 8) | ((low & ~0xffU) << 12);
}

// Walks the tree once. A directory's place is taken when the walk enters it, for its size follows
// from the names; what it holds is known, and written, when the walk leaves it.
class Writer {
 public:
  Writer(DirStack tree, ErofsFile file, std::optional<Time> epoch, const Cancel& cancel)
      : tree_(std::move(tree)), file_(std::move(file)), epoch_(epoch), cancel_(cancel) {}

  Result<int64_t> run() {
    DAVIT_ASSIGN(uint64_t root, enter());
    while (!levels_.empty()) {
      DAVIT_TRY(cancel_.check());
      Level& level = levels_.back();
      if (level.next == level.entries.size()) {
        DAVIT_TRY(leave());
        continue;
      }
      size_t index = level.next++;
      const std::string& name = level.entries[index].name;
      if (name == "." || name == "..") continue;
      if (Result<> added = add(name, index); !added) {
        return wrap("\"" + tree_.path(name) + "\"", std::move(added).error());
      }
    }
    DAVIT_TRY(count_links());
    return file_.finish(root, inodes_, chunked_);
  }

  int fd() const { return file_.fd(); }

 private:
  struct Level {
    std::vector<ErofsEntry> entries;
    size_t next = 0;
    uint64_t slot = 0;  // offset of the inode
    erofs::Inode inode{};
    std::vector<uint8_t> xattrs;
  };

  // A file of several names: where its inode is, the names found, and how many it says it has.
  struct Linked {
    uint64_t slot;
    uint32_t found;
    uint32_t told;
  };

  erofs::Inode inode_of(const struct stat& info, const std::vector<uint8_t>& xattrs) {
    erofs::Inode inode{};
    if (!xattrs.empty()) {
      inode.xattr_count =
          static_cast<uint16_t>((xattrs.size() - sizeof(erofs::XattrHeader)) / 4 + 1);
    }
    inode.mode = static_cast<uint16_t>(info.st_mode);
    inode.number = static_cast<uint32_t>(++inodes_);
    inode.uid = info.st_uid;
    inode.gid = info.st_gid;
    Time time{info.st_mtim.tv_sec, info.st_mtim.tv_nsec};
    if (epoch_ && *epoch_ < time) time = *epoch_;
    if (is_whiteout(info)) time = {};  // nobody sees it, and it is of whenever it was unpacked
    inode.mtime = static_cast<uint64_t>(time.seconds);
    inode.mtime_nanos = static_cast<uint32_t>(time.nanoseconds);
    inode.links = static_cast<uint32_t>(info.st_nlink);
    return inode;
  }

  static void set_layout(erofs::Inode& inode, Layout layout) {
    inode.format = static_cast<uint16_t>(erofs::kExtended | static_cast<uint16_t>(layout) << 1);
  }

  Result<> write_inode(uint64_t slot, const erofs::Inode& inode, std::vector<uint8_t> rest,
                       const std::vector<uint8_t>& tail) {
    rest.insert(rest.end(), tail.begin(), tail.end());
    return file_.write(slot, bytes_of(inode), rest);
  }

  // Of the current directory; the offset of its inode.
  Result<uint64_t> enter() {
    Level level;
    struct stat info;
    if (fstat(tree_.fd(), &info) < 0) return fail_errno("stat");
    DAVIT_ASSIGN(level.xattrs, erofs_xattrs(proc_path(tree_.fd()) + "/."));
    DAVIT_ASSIGN(std::vector<DirEntry> found, tree_.list());
    for (DirEntry& entry : found) level.entries.push_back({.name = std::move(entry.name)});
    erofs_sort(level.entries);

    level.inode = inode_of(info, level.xattrs);
    level.inode.size = erofs_directory_size(level.entries);
    level.inode.links = 2;
    uint64_t head = sizeof(erofs::Inode) + level.xattrs.size();
    uint64_t rest = level.inode.size % kBlock;
    if (head + rest > kBlock) rest = 0;
    set_layout(level.inode, rest > 0 ? Layout::kInline : Layout::kPlain);
    DAVIT_ASSIGN(level.slot, file_.take_slot(head + rest));
    if (uint64_t whole = level.inode.size - rest; whole > 0) {
      DAVIT_ASSIGN(level.inode.data, file_.take_blocks((whole + kBlock - 1) / kBlock));
    }
    uint64_t slot = level.slot;
    levels_.push_back(std::move(level));
    return slot;
  }

  Result<> leave() {
    Level level = std::move(levels_.back());
    levels_.pop_back();
    uint64_t parent = levels_.empty() ? level.slot : levels_.back().slot;
    for (ErofsEntry& entry : level.entries) {
      if (entry.name == ".") entry = {".", level.slot / erofs::kSlot, S_IFDIR};
      if (entry.name == "..") entry = {"..", parent / erofs::kSlot, S_IFDIR};
    }
    std::vector<uint8_t> content = erofs_directory(level.entries);
    uint64_t rest = level.inode.format >> 1 == static_cast<uint16_t>(Layout::kInline)
                        ? content.size() % kBlock
                        : 0;
    std::span<const uint8_t> whole(content.data(), content.size() - rest);
    if (!whole.empty()) DAVIT_TRY(file_.write(level.inode.data * kBlock, whole));
    std::vector<uint8_t> tail(content.end() - static_cast<ptrdiff_t>(rest), content.end());
    DAVIT_TRY(write_inode(level.slot, level.inode, std::move(level.xattrs), tail));
    if (levels_.empty()) return {};
    levels_.back().inode.links++;
    return tree_.leave();
  }

  Result<> add(const std::string& name, size_t index) {
    struct stat info;
    if (fstatat(tree_.fd(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) < 0)
      return fail_errno("stat");
    uint64_t slot = 0;
    size_t depth = levels_.size() - 1;
    if (S_ISDIR(info.st_mode)) {
      DAVIT_TRY(tree_.enter(name));
      DAVIT_ASSIGN(slot, enter());
    } else if (auto known = links_.find({info.st_dev, info.st_ino});
               info.st_nlink > 1 && known != links_.end()) {
      slot = known->second.slot;
      known->second.found++;
    } else {
      DAVIT_ASSIGN(slot, add_file(name, info));
      if (info.st_nlink > 1) {
        links_[{info.st_dev, info.st_ino}] = {slot, 1, static_cast<uint32_t>(info.st_nlink)};
      }
    }
    ErofsEntry& entry = levels_[depth].entries[index];
    entry.number = slot / erofs::kSlot;
    entry.mode = info.st_mode;
    return {};
  }

  // What is not a directory; the offset of its inode.
  Result<uint64_t> add_file(const std::string& name, const struct stat& info) {
    DAVIT_ASSIGN(std::vector<uint8_t> xattrs, erofs_xattrs(proc_path(tree_.fd()) + "/" + name));
    erofs::Inode inode = inode_of(info, xattrs);
    ErofsData data;
    if (S_ISREG(info.st_mode) || S_ISLNK(info.st_mode)) {
      inode.size = static_cast<uint64_t>(info.st_size);
    }
    if (S_ISREG(info.st_mode)) {
      DAVIT_ASSIGN(data, regular_data(name, info, sizeof inode + xattrs.size()));
    } else if (S_ISLNK(info.st_mode)) {
      DAVIT_ASSIGN(data, link_data(name, inode.size, sizeof inode + xattrs.size()));
    } else if (S_ISCHR(info.st_mode) || S_ISBLK(info.st_mode)) {
      data.data = encode_device(info.st_rdev);
    }
    inode.data = data.data;
    set_layout(inode, data.layout);
    chunked_ |= data.layout == Layout::kChunks;
    DAVIT_ASSIGN(uint64_t slot, file_.take_slot(sizeof inode + xattrs.size() + data.tail.size()));
    DAVIT_TRY(write_inode(slot, inode, std::move(xattrs), data.tail));
    return slot;
  }

  Result<ErofsData> regular_data(const std::string& name, const struct stat& info, size_t head) {
    if (info.st_size == 0) return ErofsData{};
    int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
    Fd from(openat(tree_.fd(), name.c_str(), flags));
    if (!from) return fail_errno("open");
    struct stat now;
    if (fstat(from.get(), &now) < 0) return fail_errno("stat");
    if (!S_ISREG(now.st_mode)) return fail(ESTALE, "replaced meanwhile");
    bool sparse = info.st_blocks < (info.st_size + 511) / 512;
    return write_erofs_data(from.get(), static_cast<uint64_t>(info.st_size), sparse, head, file_);
  }

  Result<ErofsData> link_data(const std::string& name, size_t size, size_t head) {
    ErofsData data{Layout::kInline, 0, std::vector<uint8_t>(size + 1)};
    ssize_t length = readlinkat(tree_.fd(), name.c_str(), reinterpret_cast<char*>(data.tail.data()),
                                data.tail.size());
    if (length < 0) return fail_errno("read link");
    if (static_cast<size_t>(length) != size) return fail(ESTALE, "replaced meanwhile");
    data.tail.resize(size);
    if (head + size <= kBlock) return data;
    DAVIT_ASSIGN(uint32_t block, file_.take_blocks(1));
    DAVIT_TRY(file_.write(block * kBlock, data.tail));
    return ErofsData{Layout::kPlain, block, {}};
  }

  // Names of a file that lie elsewhere are none of the image's.
  Result<> count_links() {
    for (const auto& [id, link] : links_) {
      if (link.found == link.told) continue;
      std::span<const uint8_t> count(reinterpret_cast<const uint8_t*>(&link.found),
                                     sizeof link.found);
      DAVIT_TRY(file_.write(link.slot + offsetof(erofs::Inode, links), count));
    }
    return {};
  }

  DirStack tree_;
  ErofsFile file_;
  std::optional<Time> epoch_;
  const Cancel& cancel_;
  std::vector<Level> levels_;
  std::map<std::pair<dev_t, ino_t>, Linked> links_;
  uint64_t inodes_ = 0;
  bool chunked_ = false;
};

Result<std::string> digest_of(int fd, int64_t size, const Cancel& cancel) {
  constexpr size_t kBuffer = 256 * 1024;
  auto buffer = std::make_unique_for_overwrite<uint8_t[]>(kBuffer);
  Sha256 digest;
  for (int64_t at = 0; at < size;) {
    DAVIT_TRY(cancel.check());
    ssize_t got = pread(fd, buffer.get(), kBuffer, at);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno("read EROFS image");
    if (got == 0) return fail(EIO, "read EROFS image: it became shorter");
    digest.update({buffer.get(), static_cast<size_t>(got)});
    at += got;
  }
  return digest.finish();
}

}  // namespace

Result<ErofsSummary> make_erofs(const std::string& root, Fd file, const ErofsOptions& options,
                                const Cancel& cancel) {
  Fd directory(open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory) return fail_errno("open directory \"" + root + "\"");
  DAVIT_ASSIGN(DirStack tree, DirStack::open(std::move(directory), root));
  Writer writer(std::move(tree), ErofsFile(std::move(file)), options.epoch, cancel);
  ErofsSummary summary;
  DAVIT_ASSIGN(summary.size, writer.run());
  if (options.digest) {
    DAVIT_ASSIGN(summary.digest, digest_of(writer.fd(), summary.size, cancel));
  }
  return summary;
}

}  // namespace davit::layer
