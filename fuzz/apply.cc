// A whole layer blob, compressed or not, applied to a folder: nothing beside the folder changes.
// Needs root, for its tmpfs.
#include <sched.h>

#include <cstdio>
#include <optional>

#include "fuzz/target.h"
#include "native/layer/apply.h"
#include "native/layer/testing/scratch.h"

using namespace davit;

namespace {

// Mounts of a run that crashes go with it.
bool in_own_namespace() {
  return ::unshare(CLONE_NEWNS) == 0 &&
         ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
}

// One tmpfs for many inputs: to mount one costs more than to apply most of them.
class Place {
 public:
  // An empty folder, beside the one that must not change.
  const std::string& fresh_root() {
    if (!scratch_ || !empty()) renew();
    ::mkdir(root_.c_str(), 0755);
    return root_;
  }
  bool untouched() const { return layer::testing::listing(outside_, true) == before_; }

 private:
  // False: something is too deep for a path, or cannot be removed.
  bool empty() {
    constexpr int kDescriptors = 32;
    return ::nftw(
               root_.c_str(),
               [](const char* path, const struct stat*, int, FTW*) { return ::remove(path); },
               kDescriptors, FTW_DEPTH | FTW_PHYS) == 0;
  }
  void renew() {
    scratch_.emplace();
    if (!scratch_->ready()) {
      std::fprintf(stderr, "cannot mount: run as root\n");
      std::abort();
    }
    outside_ = scratch_->dir("outside");
    root_ = scratch_->dir("root");
    layer::testing::write_file(outside_ + "/canary", "unchanged");
    before_ = layer::testing::listing(outside_, true);
  }

  std::optional<layer::testing::Scratch> scratch_;
  std::string root_, outside_;
  std::map<std::string, std::string> before_;
};

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const bool ready = in_own_namespace();
  static Place place;
  if (!ready) std::abort();
  layer::ApplyOptions options;
  options.root = place.fresh_root();
  options.max_size = 16 << 20;
  options.max_entries = 1000;
  layer::Cancel cancel;
  auto applied = layer::apply(layer::testing::memory_file(std::string(fuzz::text_of(data, size))),
                              0, -1, layer::Compression::kDetect, options, cancel);
  if (!applied) fuzz::claim(!applied.error().message.empty());
  fuzz::claim(place.untouched());
  return 0;
}
