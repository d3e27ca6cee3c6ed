// Deferred: the directories of a layer in which lower layers have a say that were not known when it
// was applied. settle() makes up for it.
//
// Untrusted archives decide how many they are: beyond a limit the layer cannot be settled.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace davit::layer {

class Deferred {
 public:
  struct Directory {
    // Made because an entry needed it: on top of anything but a directory that entry would have
    // gone elsewhere, or nowhere. It looks like the one below.
    bool implied = false;
    // An entry says what it looks like; only attributes that this does not name come from below.
    bool described = false;
    // Was made opaque when it had something in it: what that took from below is not known.
    bool filled = false;
    // Has whiteouts, which are only seen as such where something below is a directory too.
    bool whited_out = false;
  };
  // By path in the tree, without links.
  using Directories = std::map<std::string, Directory, std::less<>>;

  static constexpr size_t kMaxBytes = 1 << 20;

  void implied(std::string path);
  // `path` is a directory that an entry describes, whether or not it was implied before.
  void described(const std::string& path);
  // `path`, which showed what is below it, was made opaque.
  void made_opaque(std::string path, bool filled);
  // A whiteout was made in `path`, which shows what is below it.
  void whited_out(std::string path);
  // `path` is about to become something else.
  void replaced(std::string_view path);
  // Something that is not remembered.
  void lose();

  bool empty() const { return directories_.empty(); }
  // What was remembered is not all.
  bool lost() const { return lost_; }
  const Directories& directories() const { return directories_; }

  // For decode(); nothing when something was lost.
  std::optional<std::string> encode() const;
  static std::optional<Deferred> decode(std::string_view text);

 private:
  Directory* add(std::string path);
  Directory* add_described(std::string path);

  Directories directories_;
  size_t bytes_ = 0;
  bool lost_ = false;
};

}  // namespace davit::layer
