// ChangeWriter: changes of a tree, found in the order of a sorted walk, as archive entries.
#pragma once

#include <sys/stat.h>

#include <map>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "native/layer/tar_writer.h"

namespace davit::layer {

class ChangeWriter {
 public:
  // `root` is the tree that has the changes; it and `out` outlive this object.
  ChangeWriter(TarWriter& out, int root, std::optional<Time> epoch, const Cancel& cancel);

  // `path` is from the root; `parent` and `name` lead to the same file.
  Result<> changed(const std::string& path, int parent, const std::string& name,
                   const struct stat& info);
  // A file that is the same as before: of interest if another name of it has changed.
  Result<> unchanged(const std::string& path, int parent, const std::string& name,
                     const struct stat& info);
  Result<> deleted(const std::string& path);
  // Everything in the directory `path` that came from before is hidden.
  Result<> opaque(const std::string& path);

 private:
  using Inode = std::pair<dev_t, ino_t>;

  Result<> write(Entry& entry, int parent, const std::string& name);
  Result<> write_links(Entry entry, const std::vector<std::string>& names);
  Result<> parents(const std::string& path);
  Result<Entry> describe(const std::string& path, int parent, const std::string& name,
                         const struct stat& info) const;
  Result<> whiteout(const std::string& path);
  Time bounded(const timespec& time) const;

  TarWriter& out_;
  int root_;
  std::optional<Time> epoch_;
  const Cancel& cancel_;
  Time now_;
  std::unordered_set<std::string> directories_;  // written
  std::map<Inode, std::string> first_names_;     // of files with several links, written
  std::map<Inode, std::vector<std::string>> unchanged_names_;
};

}  // namespace davit::layer
