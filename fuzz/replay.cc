// A main for targets built without libFuzzer: every file of the corpus folder, then mutations of
// them with a fixed seed for some seconds, so that a run is short and always the same.
#include <dirent.h>
#include <fcntl.h>

#include <chrono>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "fuzz/target.h"
#include "native/kernel/file.h"

namespace {

constexpr std::size_t kLongest = 64 << 10;

class Random {
 public:
  std::size_t below(std::size_t bound) {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return bound == 0 ? 0 : state_ % bound;
  }

 private:
  std::uint64_t state_ = 0x9e3779b97f4a7c15;
};

std::vector<std::string> read_corpus(const char* folder) {
  std::vector<std::string> files;
  std::unique_ptr<DIR, int (*)(DIR*)> list(::opendir(folder), ::closedir);
  if (!list) return files;
  while (const dirent* entry = ::readdir(list.get())) {
    if (entry->d_name[0] == '.') continue;
    auto text = davit::kernel::read_file(::dirfd(list.get()), entry->d_name, kLongest);
    if (text) files.push_back(std::move(*text));
  }
  return files;
}

void mutate(Random& random, const std::vector<std::string>& corpus, std::string& bytes) {
  constexpr std::uint8_t kEdges[] = {0, 1, 0x7f, 0x80, 0xff, '"', '/', ':', ',', '\n', '-', '9'};
  for (std::size_t steps = 1 + random.below(8); steps > 0; --steps) {
    std::size_t at = random.below(bytes.size() + 1);
    switch (random.below(6)) {
      case 0:
        if (at < bytes.size()) bytes[at] = static_cast<char>(random.below(256));
        break;
      case 1:
        if (at < bytes.size()) bytes[at] = static_cast<char>(kEdges[random.below(sizeof kEdges)]);
        break;
      case 2:
        bytes.erase(at, random.below(16));
        break;
      case 3:
        bytes.insert(at, 1 + random.below(4),
                     static_cast<char>(kEdges[random.below(sizeof kEdges)]));
        break;
      case 4:
        bytes.insert(at, bytes.substr(random.below(bytes.size() + 1), random.below(64)));
        break;
      default: {
        const std::string& other = corpus[random.below(corpus.size())];
        bytes = bytes.substr(0, at) + other.substr(random.below(other.size() + 1));
      }
    }
  }
  if (bytes.size() > kLongest) bytes.resize(kLongest);
}

void try_one(const std::string& bytes) {
  // An allocation of exactly this size, so that reading past its end is seen.
  auto copy = std::make_unique<std::uint8_t[]>(bytes.size());
  std::copy(bytes.begin(), bytes.end(), copy.get());
  (void)LLVMFuzzerTestOneInput(copy.get(), bytes.size());
}

}  // namespace

int main(int argc, char** argv) {
  using Clock = std::chrono::steady_clock;
  constexpr std::chrono::milliseconds kTime{1500};
  if (argc != 2) return 2;
  std::vector<std::string> corpus = read_corpus(argv[1]);
  if (corpus.empty()) {
    std::fprintf(stderr, "no corpus in %s\n", argv[1]);
    return 1;
  }
  for (const std::string& bytes : corpus) try_one(bytes);
  Random random;
  std::size_t runs = corpus.size();
  for (Clock::time_point end = Clock::now() + kTime; Clock::now() < end; ++runs) {
    std::string bytes = corpus[random.below(corpus.size())];
    mutate(random, corpus, bytes);
    try_one(bytes);
  }
  std::printf("%zu inputs\n", runs);
  return 0;
}
