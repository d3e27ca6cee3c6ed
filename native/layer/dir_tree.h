// DirTree: the directories of a tree that a layer is applied to, as open descriptors.
//
// A plain tree is one directory. An overlay tree is an upper directory, which is written, above
// lower ones, which are only looked at: what it resolves and what it leaves in the upper directory
// is what a mounted overlay would, without a mount. Paths come from archives: `..` and symbolic
// links are followed within the tree and never out of it; every step is one openat of one name.
#pragma once

#include <list>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "native/kernel/fd.h"
#include "native/layer/cancel.h"
#include "native/layer/deferred.h"
#include "native/layer/lower_dirs.h"
#include "native/layer/metadata.h"
#include "native/layer/tally.h"

namespace davit::layer {

class DirTree {
 public:
  struct Dir;
  struct Unpin {
    void operator()(Dir* dir) const;
  };
  // A directory that stays open while somebody holds it.
  using Pin = std::unique_ptr<Dir, Unpin>;

  // `lowers` from the topmost down. `overlay` also without lowers: then what lies below is unknown
  // and every whiteout is kept.
  static Result<std::unique_ptr<DirTree>> open(Fd upper, std::vector<Fd> lowers, bool overlay,
                                               OverlayMarks marks, const Cancel& cancel);
  ~DirTree();

  // The directory `path`. Missing ones are created with mode 0755 when `create`, else ENOENT.
  Result<Pin> resolve(std::string_view path, bool create);

  // The descriptor of `dir` in the written tree; creates it and its parents there, with the lower
  // directory's metadata, when so far it is only in a lower layer.
  Result<int> writable(Dir& dir);

  // Makes sure that `name` in `dir` is a directory of the written tree. One that is there stays,
  // and anything else gives way to it.
  Result<Pin> make_directory(Dir& dir, const std::string& name);

  // Makes room for a new file `name`: removes what the written tree has there.
  Result<> clear(Dir& dir, const std::string& name);

  // Deletes `name` from the merged view.
  Result<> white_out(Dir& dir, const std::string& name, uint32_t uid, uint32_t gid);
  // Hides what lower layers have in `dir`. Only for an overlay tree.
  Result<> make_opaque(Dir& dir);

  // Brings the file `name`, not a directory, into the written tree; ENOENT if it is nowhere.
  Result<> copy_up(Dir& dir, const std::string& name);

  // An entry has said what `dir` looks like. Its times are set by restore_times(), once everything
  // is written.
  void described(const Dir& dir, const timespec (&times)[2]);
  Result<> restore_times();

  // From the root; of `name` in `dir` when given.
  std::string path_of(const Dir& dir, std::string_view name = {}) const;
  static size_t hash_of(const Dir& dir, std::string_view name);
  bool overlay() const { return overlay_; }
  // Empty when what lies below is known, or nothing.
  const Deferred& deferred() const { return deferred_; }
  // Whiteouts and opaque marks written.
  int64_t marked() const { return marked_; }
  OverlayMarks marks() const { return marks_; }
  // What the written tree takes; complete once times are restored.
  Tally& tally() { return tally_; }

  static constexpr size_t kMaxSteps = 1024;  // names looked up for one path, links included
  static constexpr size_t kMaxLinks = 40;

 private:
  static constexpr size_t kCachedDescriptors = 256;

  struct Times {
    timespec times[2];
  };

  DirTree(bool overlay, OverlayMarks marks, const Cancel& cancel);

  Dir* add(Dir* parent, std::string name, Fd upper, std::vector<Fd> lowers);
  Result<Dir*> open_child(Dir& dir, const std::string& name, Presence* found);
  Result<bool> hides_something(const Dir& dir, const std::string& name);
  Result<> hide_below_root();
  Result<std::string> read_link(const Dir& dir, const std::string& name);
  void forget(Dir& dir, const std::string& name);
  void drop(Dir& dir);
  bool loose() const { return overlay_ && !lowers_known_; }
  void touch(Dir& dir);
  void trim(Dir& dir);
  void remember_times(const Dir& dir, const timespec (&times)[2]);
  Result<> begin_tally(int root);
  Result<> measure(const Dir& dir);

  bool overlay_;
  bool lowers_known_ = false;
  OverlayMarks marks_;
  const Cancel& cancel_;
  std::unique_ptr<Dir> root_;
  std::list<Dir*> recent_;  // most recently used first, and parents before children
  size_t descriptors_ = 0;
  int64_t marked_ = 0;
  Deferred deferred_;
  Tally tally_;
  std::map<std::string, Times> times_;
};

}  // namespace davit::layer
