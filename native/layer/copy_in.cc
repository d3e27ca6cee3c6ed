#include <fcntl.h>
#include <unistd.h>

#include "native/kernel/in_root.h"
#include "native/layer/copy_path.h"
#include "native/layer/entry_writer.h"
#include "native/layer/layer_stream.h"

namespace davit::layer {
namespace {

class PipeSource : public ByteSource {
 public:
  explicit PipeSource(Fd fd) : fd_(std::move(fd)) {}

  Result<size_t> read(std::span<uint8_t> out) override {
    for (;;) {
      ssize_t got = ::read(fd_.get(), out.data(), out.size());
      if (got >= 0) return static_cast<size_t>(got);
      if (errno != EINTR) return fail_errno("read archive");
    }
  }

 private:
  Fd fd_;
};

// `name` below `prefix`, whatever it says, with its first component replaced.
std::string placed(const CopyIn& options, std::string_view name) {
  std::string_view rest = name;
  std::string first;
  if (options.as) {
    while (rest.starts_with('/')) rest.remove_prefix(1);
    size_t slash = rest.find('/');
    rest = slash == std::string_view::npos ? std::string_view() : rest.substr(slash + 1);
    first = *options.as;
  }
  std::string result = options.path;
  for (const std::string& part : {first, std::string(rest)})
    for (std::string_view each : clean_parts(part)) result += "/" + std::string(each);
  return result;
}

void own(const CopyIn& options, Entry& entry) {
  if (options.owner) {
    entry.uid = options.owner->uid;
    entry.gid = options.owner->gid;
  }
  entry.uid = kernel::id_outside(options.uids, entry.uid);
  entry.gid = kernel::id_outside(options.gids, entry.gid);
}

bool is_device(const Entry& entry) {
  return entry.type == EntryType::kCharacterDevice || entry.type == EntryType::kBlockDevice;
}

}  // namespace

Result<> copy_in(const std::string& root_path, Fd in, const CopyIn& options, const Cancel& cancel) {
  Fd root(open(root_path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root) return fail_errno("open \"" + root_path + "\"");
  DAVIT_ASSIGN(Fd place, kernel::open_in_root(root.get(), options.path, O_PATH | O_DIRECTORY));
  place.reset();
  DAVIT_ASSIGN(std::unique_ptr<DirTree> tree,
               DirTree::open(std::move(root), {}, false, OverlayMarks{}, cancel));
  DAVIT_ASSIGN(std::unique_ptr<ByteSource> content,
               decompress(std::make_unique<PipeSource>(std::move(in)), Compression::kDetect));
  DAVIT_ASSIGN(std::unique_ptr<LayerStream> stream,
               LayerStream::start(std::move(content), -1, cancel));
  TarReader reader(*stream);
  EntryWriter writer(*tree, reader, cancel, EntryWriter::Kind::kFiles);
  for (;;) {
    DAVIT_TRY(cancel.check());
    DAVIT_ASSIGN(std::optional<Entry> entry, reader.next());
    if (!entry) break;
    if (!options.devices && is_device(*entry)) continue;
    std::string name = std::move(entry->name);
    entry->name = placed(options, name);
    // The directory itself is what it was.
    if (clean_parts(entry->name).size() == clean_parts(options.path).size()) continue;
    if (entry->type == EntryType::kHardLink) entry->link = placed(options, entry->link);
    own(options, *entry);
    if (Result<> written = writer.write(*entry); !written) {
      return wrap("\"" + name + "\"", std::move(written).error());
    }
  }
  DAVIT_TRY(stream->drain());
  return tree->restore_times();
}

}  // namespace davit::layer
