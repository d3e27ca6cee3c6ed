// A whole layer blob, compressed or not, applied to a folder: nothing beside the folder changes.
// Needs root, for its tmpfs.
#include <sched.h>

#include <cstdio>

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

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const bool ready = in_own_namespace();
  layer::testing::Scratch place;
  if (!ready || !place.ready()) {
    std::fprintf(stderr, "cannot mount: run as root\n");
    std::abort();
  }
  std::string root = place.dir("root"), outside = place.dir("outside");
  layer::testing::write_file(outside + "/canary", "unchanged");
  auto before = layer::testing::listing(outside, true);
  layer::ApplyOptions options;
  options.root = root;
  options.max_size = 16 << 20;
  options.max_entries = 1000;
  layer::Cancel cancel;
  auto applied = layer::apply(layer::testing::memory_file(std::string(fuzz::text_of(data, size))),
                              0, -1, layer::Compression::kDetect, options, cancel);
  if (!applied) fuzz::claim(!applied.error().message.empty());
  fuzz::claim(layer::testing::listing(outside, true) == before);
  return 0;
}
