// EntryWriter: one archive entry at a time, written into a DirTree.
#pragma once

#include <unordered_set>

#include "native/layer/dir_tree.h"
#include "native/layer/tar_reader.h"

namespace davit::layer {

class EntryWriter {
 public:
  EntryWriter(DirTree& tree, TarReader& reader, const Cancel& cancel)
      : tree_(tree), reader_(reader), cancel_(cancel) {}

  // Writes `entry`, whose data the reader stands at.
  Result<> write(const Entry& entry);

 private:
  Result<> white_out(DirTree::Dir& parent, const std::string& base, const Entry& entry);
  Result<> remove_older(DirTree::Dir& dir);
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
  // What this layer has written, for opaque markers that come after it. Only in a plain tree.
  std::unordered_set<size_t> written_;
  // Directories that hold nothing older any more.
  std::unordered_set<size_t> emptied_;
};

}  // namespace davit::layer
