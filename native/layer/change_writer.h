// ChangeWriter: changes of a tree, found in the order of a sorted walk, as archive entries.
#pragma once

#include <sys/stat.h>

#include <map>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "native/kernel/idmap.h"
#include "native/layer/tar_writer.h"

namespace davit::layer {

class ChangeWriter {
 public:
  // How entries differ from files.
  struct Shown {
    kernel::IdMap uids{}, gids{};  // to the ids inside
    std::optional<Time> epoch{};   // no time is later
  };

  // `root` is the tree that has the changes; it and `out` outlive this object.
  ChangeWriter(TarWriter& out, int root, Shown shown, const Cancel& cancel);

  // `path` is from the root; `parent` and `name` lead to the same file. An empty `name`: `parent`
  // is the file, O_PATH.
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
  std::string capability(int fd) const;
  static Result<Fd> open_content(const std::string& path, int parent, const std::string& name);

  TarWriter& out_;
  int root_;
  Shown shown_;
  const Cancel& cancel_;
  Time now_;
  std::unordered_set<std::string> directories_;  // written
  std::map<Inode, std::string> first_names_;     // of files with several links, written
  std::map<Inode, std::vector<std::string>> unchanged_names_;
};

}  // namespace davit::layer
