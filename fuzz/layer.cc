// A tar stream with all its extensions. The first byte is the size of the pieces it comes in.
#include "fuzz/target.h"
#include "native/layer/tar_reader.h"

using namespace davit;

namespace {

class Pieces : public layer::ChunkSource {
 public:
  Pieces(std::span<const std::uint8_t> bytes, std::size_t step) : rest_(bytes), step_(step) {}
  Result<std::span<const std::uint8_t>> next() override {
    auto piece = rest_.first(std::min(step_, rest_.size()));
    rest_ = rest_.subspan(piece.size());
    return piece;
  }

 private:
  std::span<const std::uint8_t> rest_;
  std::size_t step_;
};

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  Pieces pieces({data + 1, size - 1}, 1 + data[0] * std::size_t{7});
  layer::TarReader reader(pieces);
  for (;;) {
    auto entry = reader.next();
    if (!entry || !*entry) return 0;
    fuzz::claim((*entry)->size >= 0 && (*entry)->stored >= 0);
    std::int64_t reached = 0;
    for (;;) {
      auto piece = reader.data();
      if (!piece) return 0;
      if (piece->bytes.empty()) break;
      fuzz::claim(piece->offset >= reached);
      reached = piece->offset + static_cast<std::int64_t>(piece->bytes.size());
      fuzz::claim(reached <= (*entry)->size);
    }
  }
}
