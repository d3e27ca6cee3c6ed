#include "native/layer/archive_file.h"

#include "native/layer/testing/doctest.h"
#include "native/layer/testing/scratch.h"
#include "native/layer/testing/tar_builder.h"

using namespace davit;
using namespace davit::layer;
using testing::memory_file;
using testing::TarBuilder;

namespace {

std::string part_of(const Fd& file, const Member& member) {
  std::string bytes(static_cast<size_t>(member.size), '\0');
  REQUIRE(pread(file.get(), bytes.data(), bytes.size(), member.offset) ==
          static_cast<ssize_t>(bytes.size()));
  return bytes;
}

Result<std::vector<Member>> list(const std::string& bytes, size_t most = 100) {
  return list_archive(memory_file(bytes), most, Cancel());
}

}  // namespace

TEST_CASE("lists where the data of each member is") {
  std::string large(100'000, 'x');
  std::string long_name = std::string(150, 'n') + "/file";
  Fd file = memory_file(TarBuilder()
                            .dir("blobs")
                            .file("blobs/one", "first")
                            .file("blobs/large", large)
                            .gnu_long('L', long_name)
                            .file("short", "second")
                            .symlink("link", "blobs/one")
                            .pax({{"path", "by pax"}})
                            .file("ignored", "third")
                            .end());
  auto members = list_archive(file, 100, Cancel());
  REQUIRE(members);
  REQUIRE(members->size() == 6);
  CHECK((*members)[0].type == EntryType::kDirectory);
  CHECK((*members)[1].name == "blobs/one");
  CHECK(part_of(file, (*members)[1]) == "first");
  CHECK(part_of(file, (*members)[2]) == large);
  CHECK((*members)[3].name == long_name);
  CHECK(part_of(file, (*members)[3]) == "second");
  CHECK((*members)[4].link == "blobs/one");
  CHECK((*members)[5].name == "by pax");
  CHECK(part_of(file, (*members)[5]) == "third");
}

TEST_CASE("refuses what is not whole, too much, or not in one piece") {
  std::string whole = TarBuilder().file("a", "1").file("b", std::string(5000, 'b')).end();
  CHECK(list(whole)->size() == 2);
  CHECK(list(whole.substr(0, 2000)).error().code == EBADMSG);
  CHECK(list("no archive at all, but long enough for one block of it" + std::string(512, '!'))
            .error()
            .code == EBADMSG);
  CHECK(list(whole, 1).error().code == EFBIG);
  CHECK(
      list(TarBuilder().gnu_long('L', std::string(5000, 'n')).file("a", "1").end()).error().code ==
      ENAMETOOLONG);
  std::string sparse = TarBuilder()
                           .pax({{"GNU.sparse.size", "10"}, {"GNU.sparse.map", "0,1,9,1"}})
                           .file("holes", "ab")
                           .end();
  CHECK(list(sparse).error().code == ENOTSUP);
}

TEST_CASE("copies a part, says its digest, and notices an end that comes too early") {
  Fd file = memory_file("0123456789");
  Fd out = memory_file("");
  auto digest = copy_part(file, 3, 3, out, Cancel());
  REQUIRE(digest);
  CHECK(*digest == "sha256:da70dfa4d9f95ac979f921e8e623358236313f334afcd06cddf8a5621cf6a1e9");
  REQUIRE(copy_part(file, 0, 1, out, Cancel()));
  char bytes[8] = {};
  REQUIRE(pread(out.get(), bytes, sizeof bytes, 0) == 4);
  CHECK(std::string(bytes) == "3450");
  CHECK(copy_part(file, 8, 3, out, Cancel()).error().code == EBADMSG);
}
