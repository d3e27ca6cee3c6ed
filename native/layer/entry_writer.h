// EntryWriter: one archive entry at a time, written into a DirTree.
#pragma once

#include <unordered_set>

#include "native/layer/dir_tree.h"
#include "native/layer/tar_reader.h"

namespace davit::layer {

// The components of a name, cleaned lexically as containerd does before it looks at the file
// system: no empty and no `.` parts, `x/..` removed, `..` beyond the root dropped.
std::vector<std::string_view> clean_parts(std::string_view name);

class EntryWriter {
 public:
  enum class Kind {
    kLayer,  // `.wh.` names delete, and anything gives way to what is written
    kFiles,  // names mean themselves, and directories stay directories: EISDIR, ENOTDIR
  };

  EntryWriter(DirTree& tree, TarReader& reader, const Cancel& cancel, Kind kind = Kind::kLayer)
      : tree_(tree), reader_(reader), cancel_(cancel), kind_(kind) {}

  // Writes `entry`, whose data the reader stands at.
  Result<> write(const Entry& entry);

 private:
  Result<> white_out(DirTree::Dir& parent, const std::string& base, const Entry& entry);
  Result<> remove_older(DirTree::Dir& dir);
  Result<> keeps_kind(DirTree::Dir& parent, const std::string& base, const Entry& entry);
  Result<> create(DirTree::Dir& parent, const std::string& base, const Entry& entry);
  Result<> directory(DirTree::Dir& parent, const std::string& base, const Entry& entry);
  Result<> regular(DirTree::Dir& parent, const std::string& base, const Entry& entry);
  Result<> hard_link(DirTree::Dir& parent, const std::string& base, const Entry& entry);
  Result<> special(DirTree::Dir& parent, const std::string& base, const Entry& entry);
  Result<> finish_by_name(int parent, const std::string& base, const Entry& entry);
  Result<> set_xattrs(int fd, const Entry& entry);
  Result<> copy_data(int fd, const Entry& entry);

  DirTree& tree_;
  TarReader& reader_;
  const Cancel& cancel_;
  Kind kind_;
  // What this layer has written, for opaque markers that come after it. Only in a plain tree.
  std::unordered_set<size_t> written_;
  // Directories that hold nothing older any more.
  std::unordered_set<size_t> emptied_;
};

}  // namespace davit::layer
