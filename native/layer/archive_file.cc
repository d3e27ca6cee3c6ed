#include "native/layer/archive_file.h"

#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

#include "native/layer/digest.h"
#include "native/layer/tar_reader.h"
#include "native/layer/write_all.h"

namespace davit::layer {
namespace {

// Headers stand far apart in an archive of images.
constexpr size_t kHeaderChunk = 4096;
// Stays in the processor's cache between reading, hashing and writing.
constexpr size_t kCopyChunk = 256 * 1024;

Result<size_t> read_at(int fd, std::span<uint8_t> out, int64_t offset) {
  for (;;) {
    ssize_t got = pread(fd, out.data(), out.size(), offset);
    if (got >= 0) return static_cast<size_t>(got);
    if (errno != EINTR) return fail_errno("read archive");
  }
}

class FileChunks : public ChunkSource {
 public:
  FileChunks(int fd, int64_t size) : fd_(fd), size_(size) {}

  Result<std::span<const uint8_t>> next() override {
    DAVIT_ASSIGN(size_t got, read_at(fd_, chunk_, position_));
    position_ += static_cast<int64_t>(got);
    return std::span<const uint8_t>(chunk_).first(got);
  }
  Result<int64_t> skip(int64_t count) override {
    int64_t skipped = std::clamp<int64_t>(size_ - position_, 0, count);
    position_ += skipped;
    return skipped;
  }
  // Where the next chunk begins.
  int64_t position() const { return position_; }

 private:
  int fd_;
  int64_t size_;
  int64_t position_ = 0;
  std::array<uint8_t, kHeaderChunk> chunk_;
};

}  // namespace

Result<std::vector<Member>> list_archive(const Fd& file, size_t max_members, const Cancel& cancel) {
  struct stat info;
  if (fstat(file.get(), &info) < 0) return fail_errno("stat archive");
  FileChunks chunks(file.get(), info.st_size);
  TarReader reader(chunks);
  std::vector<Member> members;
  for (;;) {
    DAVIT_TRY(cancel.check());
    DAVIT_ASSIGN(std::optional<Entry> entry, reader.next());
    if (!entry) return members;
    if (members.size() == max_members) {
      return fail(EFBIG, "archive has more members than " + std::to_string(max_members));
    }
    if (std::max(entry->name.size(), entry->link.size()) >= PATH_MAX) {
      return fail(ENAMETOOLONG, "a name is too long");
    }
    if (entry->sparse) return fail(ENOTSUP, "member \"" + entry->name + "\" is sparse");
    int64_t offset = chunks.position() - static_cast<int64_t>(reader.unread());
    members.push_back(
        {entry->type, std::move(entry->name), std::move(entry->link), offset, entry->size});
  }
}

Result<std::string> copy_part(const Fd& file, int64_t offset, int64_t size, const Fd& out,
                              const Cancel& cancel) {
  auto buffer = std::make_unique_for_overwrite<uint8_t[]>(kCopyChunk);
  Sha256 digest;
  for (int64_t left = size; left > 0;) {
    DAVIT_TRY(cancel.check());
    size_t want = static_cast<size_t>(std::min<int64_t>(left, kCopyChunk));
    DAVIT_ASSIGN(size_t got, read_at(file.get(), {buffer.get(), want}, offset));
    if (got == 0) return fail(EBADMSG, "archive ends within a member");
    std::span<const uint8_t> chunk(buffer.get(), got);
    digest.update(chunk);
    DAVIT_TRY(write_all(out.get(), chunk, "write part of archive"));
    offset += static_cast<int64_t>(got);
    left -= static_cast<int64_t>(got);
  }
  return digest.finish();
}

}  // namespace davit::layer
