#include "native/layer/apply.h"

#include <fcntl.h>
#include <unistd.h>

#include "native/layer/entry_writer.h"
#include "native/layer/layer_stream.h"

namespace davit::layer {
namespace {

Result<Fd> open_root(const std::string& path) {
  Fd fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return fail_errno("open directory \"" + path + "\"");
  return fd;
}

Result<std::unique_ptr<DirTree>> open_tree(const ApplyOptions& options, const Cancel& cancel) {
  DAVIT_ASSIGN(Fd root, open_root(options.root));
  std::vector<Fd> lowers;
  for (const std::string& path : options.lowers) {
    DAVIT_ASSIGN(Fd lower, open_root(path));
    lowers.push_back(std::move(lower));
  }
  return DirTree::open(std::move(root), std::move(lowers), options.overlay, options.marks, cancel);
}

Result<> sync_file_system(const std::string& path) {
  DAVIT_ASSIGN(Fd root, open_root(path));
  if (syncfs(root.get()) < 0) return fail_errno("sync file system of \"" + path + "\"");
  return {};
}

}  // namespace

Result<ApplySummary> apply(Fd blob, int64_t offset, int64_t length, Compression compression,
                           const ApplyOptions& options, const Cancel& cancel) {
  DAVIT_ASSIGN(std::unique_ptr<DirTree> tree, open_tree(options, cancel));
  DAVIT_ASSIGN(std::unique_ptr<ByteSource> source,
               decompress(file_source(std::move(blob), offset, length), compression));
  DAVIT_ASSIGN(std::unique_ptr<LayerStream> stream,
               LayerStream::start(std::move(source), options.max_size, cancel));
  TarReader reader(*stream);
  EntryWriter writer(*tree, reader, cancel);

  ApplySummary summary;
  for (;;) {
    DAVIT_TRY(cancel.check());
    DAVIT_ASSIGN(std::optional<Entry> entry, reader.next());
    if (!entry) break;
    summary.entries++;
    if (options.max_entries >= 0 && summary.entries > options.max_entries) {
      return fail(EFBIG, "layer has more entries than " + std::to_string(options.max_entries));
    }
    if (Result<> written = writer.write(*entry); !written) {
      return wrap("entry \"" + entry->name + "\"", std::move(written).error());
    }
  }
  DAVIT_ASSIGN(LayerStream::Summary content, stream->drain());
  DAVIT_TRY(tree->restore_times());
  if (options.sync) DAVIT_TRY(sync_file_system(options.root));
  summary.digest = std::move(content.digest);
  summary.size = content.size;
  summary.marked = tree->marked();
  summary.deferred = tree->deferred().encode();
  if (tree->tally().known()) summary.usage = tree->tally().usage();
  return summary;
}

}  // namespace davit::layer
