#include "native/layer/tar_reader.h"

#include "native/layer/testing/doctest.h"
#include "native/layer/testing/tar_builder.h"

using namespace davit;
using namespace davit::layer;
using testing::Header;
using testing::TarBuilder;

namespace {

// Hands out an archive in pieces of an odd size, so that everything crosses a border somewhere.
class Pieces : public ChunkSource {
 public:
  explicit Pieces(std::string bytes, size_t step = 333) : bytes_(std::move(bytes)), step_(step) {}
  Result<std::span<const uint8_t>> next() override {
    size_t count = std::min(step_, bytes_.size() - at_);
    auto* start = reinterpret_cast<const uint8_t*>(bytes_.data()) + at_;
    at_ += count;
    return std::span(start, count);
  }

 private:
  std::string bytes_;
  size_t step_;
  size_t at_ = 0;
};

struct Read {
  std::vector<Entry> entries;
  std::vector<std::string> contents;  // holes as zero bytes
  Error error;                        // with an empty message when there was none
};

Read read_all(const std::string& bytes, size_t step = 333) {
  Pieces pieces(bytes, step);
  TarReader reader(pieces);
  Read result;
  for (;;) {
    auto entry = reader.next();
    if (!entry) {
      result.error = entry.error();
      return result;
    }
    if (!*entry) return result;
    std::string content(static_cast<size_t>(std::min<int64_t>((*entry)->size, 1 << 20)), '\0');
    for (;;) {
      auto piece = reader.data();
      if (!piece) {
        result.error = piece.error();
        return result;
      }
      if (piece->bytes.empty()) break;
      content.replace(static_cast<size_t>(piece->offset), piece->bytes.size(),
                      reinterpret_cast<const char*>(piece->bytes.data()), piece->bytes.size());
    }
    result.entries.push_back(std::move(**entry));
    result.contents.push_back(std::move(content));
  }
}

std::string header_with(const Header& header, size_t offset, const std::string& field,
                        uint64_t size = 0) {
  std::string block = TarBuilder::block(header, size);
  block.replace(offset, field.size(), field);
  TarBuilder::seal(block);
  return block;
}

std::string base256(int64_t value, size_t length) {
  std::string field(length, value < 0 ? '\xff' : '\0');
  for (size_t i = 0; i < 8; i++) {
    field[length - 1 - i] = static_cast<char>(static_cast<uint64_t>(value) >> (8 * i));
  }
  field[0] = static_cast<char>(field[0] | 0x80);
  return field;
}

}  // namespace

TEST_CASE("tar: fields of a ustar header") {
  Read read = read_all(
      TarBuilder()
          .add({.name = "a", .mode = 04755, .mtime = 1234567890, .uid = 1000, .gid = 100}, "hello")
          .add({.name = "c", .type = '3', .major = 5, .minor = 1})
          .symlink("l", "../target")
          .raw(header_with({.name = "base"}, 345, "some/prefix"))
          .end());
  REQUIRE(read.error.message == "");
  REQUIRE(read.entries.size() == 4);
  const Entry& file = read.entries[0];
  CHECK(file.name == "a");
  CHECK(file.mode == 04755);
  CHECK(file.uid == 1000);
  CHECK(file.gid == 100);
  CHECK(file.modified == Time{1234567890, 0});
  CHECK(read.contents[0] == "hello");
  CHECK(read.entries[1].type == EntryType::kCharacterDevice);
  CHECK(read.entries[1].device_major == 5);
  CHECK(read.entries[1].device_minor == 1);
  CHECK(read.entries[2].link == "../target");
  CHECK(read.entries[3].name == "some/prefix/base");
}

TEST_CASE("tar: long names of GNU and PAX") {
  std::string name(300, 'n');
  std::string link(5000, 'l');
  Read read = read_all(TarBuilder()
                           .gnu_long('L', name)
                           .gnu_long('K', link)
                           .add({.name = "short", .type = '2', .link = "short"})
                           .pax({{"path", name + "p"}, {"linkpath", link + "p"}})
                           .add({.name = "short", .type = '2', .link = "short"})
                           .file("after", "")
                           .end());
  REQUIRE(read.error.message == "");
  REQUIRE(read.entries.size() == 3);
  CHECK(read.entries[0].name == name);
  CHECK(read.entries[0].link == link);
  CHECK(read.entries[1].name == name + "p");
  CHECK(read.entries[1].link == link + "p");
  CHECK(read.entries[2].name == "after");
}

TEST_CASE("tar: PAX records") {
  Read read = read_all(TarBuilder()
                           .pax({{"comment", "of all"}, {"mtime", "7"}}, 'g')
                           .pax({{"mtime", "12.5"},
                                 {"atime", "-1.25"},
                                 {"uid", "4000000000"},
                                 {"size", "3"},
                                 {"SCHILY.xattr.user.key", std::string("a\0=\nb", 5)},
                                 {"SCHILY.xattr.user.empty", ""},
                                 {"path", "x"},
                                 {"path", "y"}})
                           .raw(TarBuilder::block({.name = "f"}, 0))
                           .data("abc")
                           .file("plain", "p")
                           .end());
  REQUIRE(read.error.message == "");
  REQUIRE(read.entries.size() == 2);
  const Entry& entry = read.entries[0];
  CHECK(entry.name == "y");
  CHECK(entry.modified == Time{12, 500'000'000});
  CHECK(entry.accessed == Time{-2, 750'000'000});
  CHECK(entry.uid == 4000000000);
  CHECK(read.contents[0] == "abc");
  CHECK(entry.xattrs.at("user.key") == std::string("a\0=\nb", 5));
  CHECK(entry.xattrs.at("user.empty") == "");
  CHECK(read.entries[1].modified == Time{1000, 0});  // global records are ignored
}

TEST_CASE("tar: numbers in base 256") {
  std::string bytes = header_with({.name = "neg"}, 136, base256(-5, 12)) +
                      header_with({.name = "uid"}, 108, base256(3'000'000'000, 8)) +
                      header_with({.name = "big"}, 124, base256(INT64_MAX, 12));
  Pieces pieces(bytes);
  TarReader reader(pieces);
  CHECK((*reader.next())->modified.seconds == -5);
  CHECK((*reader.next())->uid == 3'000'000'000);
  CHECK((*reader.next())->size == INT64_MAX);
  CHECK(reader.next().error().code == EBADMSG);  // skipping what is not there
}

TEST_CASE("tar: where an archive may end") {
  std::string whole = TarBuilder().file("a", "x").end();
  CHECK(read_all(whole).error.message == "");
  CHECK(read_all(whole.substr(0, 1024)).error.message == "");  // no zero block
  CHECK(read_all(whole.substr(0, 1536)).error.message == "");  // one
  CHECK(read_all(whole.substr(0, 513)).error.message == "");   // last padding missing
  CHECK(read_all(whole + "anything").entries.size() == 1);
  CHECK(read_all("").entries.empty());
  CHECK(read_all(whole.substr(0, 1536) + TarBuilder().file("b", "").end()).error.code == EBADMSG);
  CHECK(read_all(TarBuilder().pax({{"path", "x"}}).open_ended()).error.code == EBADMSG);
}

TEST_CASE("tar: every truncation ends, and inside data it is an error") {
  std::string whole = TarBuilder()
                          .pax({{"path", std::string(400, 'p')}})
                          .file("a", std::string(700, 'x'))
                          .gnu_long('L', std::string(200, 'n'))
                          .dir("d")
                          .end();
  for (size_t length = 0; length < whole.size(); length++) {
    Read read = read_all(whole.substr(0, length), 100);
    // Between entries, also when only the padding of the last one is missing.
    bool border = length == 0 || length == 1536 + 700 || length == 2560;
    CAPTURE(length);
    if (read.entries.size() < 2) CHECK(read.error.code == (border ? 0 : EBADMSG));
  }
}

TEST_CASE("tar: what is no archive") {
  std::string block = TarBuilder::block({.name = "a"}, 0);
  block[0] = 'b';
  CHECK(read_all(block).error.code == EBADMSG);
  CHECK(read_all(std::string(512, 'x')).error.code == EBADMSG);
  CHECK(read_all(header_with({.name = "a"}, 124, "99999999999")).error.code == EBADMSG);
  CHECK(read_all(header_with({.name = "a"}, 124, base256(-1, 12))).error.code == EBADMSG);
  CHECK(read_all(header_with({.name = "a"}, 108, base256(1LL << 40, 8))).error.code == EBADMSG);
  CHECK(read_all(TarBuilder().add({.name = "a", .type = 'V'}).end()).error.code == EBADMSG);
  for (const char* body : {"9999 path=x\n", "5 a=b\n", "0 a=b\n", "6 a b\n", "path=x\n",
                           "7 =bc\n\n", "99999999999999999999 a=b\n", "-6 a=b\n", "6 a=bc"}) {
    CAPTURE(body);
    CHECK(read_all(TarBuilder().add({.name = "p", .type = 'x'}, body).file("f", "").end())
              .error.code == EBADMSG);
  }
  CHECK(read_all(TarBuilder().pax({{"path", std::string("a\0b", 3)}}).file("f", "").end())
            .error.code == EBADMSG);
  CHECK(read_all(TarBuilder().pax({{"size", "-1"}}).file("f", "").end()).error.code == EBADMSG);
  CHECK(read_all(TarBuilder().pax({{"mtime", "1.x"}}).file("f", "").end()).error.code == EBADMSG);
  std::string huge = TarBuilder::block({.name = "p", .type = 'x'}, 2 << 20);
  CHECK(read_all(huge).error.code == EFBIG);
}

TEST_CASE("tar: sparse files of PAX 0.0, 0.1 and 1.0") {
  std::string stored = "aaaabbbb";
  std::string expected = "aaaa" + std::string(4, '\0') + "bbbb" + std::string(8, '\0');
  Read read = read_all(TarBuilder()
                           .pax({{"GNU.sparse.size", "20"},
                                 {"GNU.sparse.numblocks", "2"},
                                 {"GNU.sparse.offset", "0"},
                                 {"GNU.sparse.numbytes", "4"},
                                 {"GNU.sparse.offset", "8"},
                                 {"GNU.sparse.numbytes", "4"}})
                           .file("v00", stored)
                           .pax({{"GNU.sparse.size", "20"},
                                 {"GNU.sparse.name", "v01"},
                                 {"GNU.sparse.map", "0,4,8,4,20,0"}})
                           .file("GNUSparseFile.0/v01", stored)
                           .pax({{"GNU.sparse.major", "1"},
                                 {"GNU.sparse.minor", "0"},
                                 {"GNU.sparse.name", "v10"},
                                 {"GNU.sparse.realsize", "20"}})
                           .file("GNUSparseFile.0/v10",
                                 std::string("2\n0\n4\n8\n4\n") + std::string(502, '\0') + stored)
                           .file("after", "x")
                           .end());
  REQUIRE(read.error.message == "");
  REQUIRE(read.entries.size() == 4);
  for (size_t i = 0; i < 3; i++) {
    CHECK(read.entries[i].sparse);
    CHECK(read.contents[i] == expected);
  }
  CHECK(read.entries[1].name == "v01");
  CHECK(read.entries[2].name == "v10");
  CHECK(read.entries[3].name == "after");
}

TEST_CASE("tar: sparse maps that lie") {
  auto with_map = [](const std::string& map, const std::string& size) {
    return read_all(TarBuilder()
                        .pax({{"GNU.sparse.size", size}, {"GNU.sparse.map", map}})
                        .file("f", "aaaabbbb")
                        .end())
        .error.code;
  };
  CHECK(with_map("0,4,8,4", "12") == 0);
  for (const char* map : {"0,4,2,4", "8,4,0,4", "0,4", "0,4,8,5", "0,4,8", "0,9223372036854775807",
                          "9223372036854775807,4,8,4", "", "x"}) {
    CAPTURE(map);
    CHECK(with_map(map, "12") == EBADMSG);
  }
  CHECK(with_map("0,4,8,4", "11") == EBADMSG);
  std::string many = TarBuilder()
                         .pax({{"GNU.sparse.major", "1"}, {"GNU.sparse.minor", "0"}})
                         .file("f", "99999999\n" + std::string(600, '0'))
                         .end();
  CHECK(read_all(many).error.code == EBADMSG);
}
