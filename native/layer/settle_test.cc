// Layers that were applied with nothing known below them and then put on top of others: they must
// look as if they had been applied there, or be refused.
#include "native/layer/apply.h"

#include <random>

#include "native/layer/testing/doctest.h"
#include "native/layer/testing/scratch.h"
#include "native/layer/testing/tar_builder.h"

using namespace davit;
using namespace davit::layer;
using namespace davit::layer::testing;

namespace {

using Listing = std::map<std::string, std::string>;

Result<ApplySummary> apply_to(const ApplyOptions& options, const std::string& bytes) {
  Cancel cancel;
  return apply(memory_file(bytes), 0, -1, Compression::kDetect, options, cancel);
}

// What is mounted shows, without the times of directories that are as old as the test.
Listing shown(const Scratch& scratch, const std::vector<std::string>& folders) {
  std::string data = "lowerdir=";
  for (const std::string& folder : folders) data += folder + ":";
  data += scratch.dir("empty");
  std::string merged = scratch.dir("merged");
  REQUIRE(::mount("overlay", merged.c_str(), "overlay", MS_RDONLY, data.c_str()) == 0);
  Listing files = listing(merged, true);
  umount2(merged.c_str(), MNT_DETACH);
  files.erase("");
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  for (auto& [path, text] : files) {
    size_t at = text.find(" mtime=");
    long seconds = std::strtol(text.c_str() + at + 7, nullptr, 10);
    if (seconds > now.tv_sec - 1000) text.replace(at, text.find(' ', at + 1) - at, " mtime=now");
  }
  return files;
}

// The layers `below`, in order, and on them `layer`, both ways.
class Loose {
 public:
  Loose(const std::vector<std::string>& below, const std::string& layer, bool any = false) {
    REQUIRE(scratch_.ready());
    std::vector<std::string> lowers;
    for (const std::string& each : below) {
      std::string folder = scratch_.dir("below" + std::to_string(lowers.size()));
      bool lowest = lowers.empty();  // what it deletes is not there, and leaves nothing
      bool there =
          apply_to({.root = folder, .lowers = lowers, .overlay = !lowest}, each).has_value();
      REQUIRE((there || any));
      lowers.insert(lowers.begin(), folder);
    }
    std::string direct = scratch_.dir("direct");
    ordered = apply_to({.root = direct, .lowers = lowers, .overlay = true}, layer).has_value();
    upper = scratch_.dir("loose");
    auto applied = apply_to({.root = upper, .overlay = true}, layer);
    REQUIRE((applied.has_value() || any));
    if (!applied) return;
    usage = applied->usage;
    std::vector<Listing> before;
    for (const std::string& lower : lowers) before.push_back(listing(lower, true));
    if (applied->deferred) {
      Cancel cancel;
      auto done = settle(upper, lowers, *applied->deferred, {}, cancel);
      if (!done) FAIL(done.error().text());
      settled = *done;
    }
    for (size_t i = 0; i < lowers.size(); i++) CHECK(listing(lowers[i], true) == before[i]);
    CHECK((ordered || !settled));
    if (!settled) return;
    lowers.insert(lowers.begin(), direct);
    Listing expected = shown(scratch_, lowers);
    lowers.front() = upper;
    Listing got = shown(scratch_, lowers);
    for (const auto& [path, text] : expected) {
      CAPTURE(path);
      CHECK(got[path] == text);
    }
    CHECK(got.size() == expected.size());
  }

  std::string upper;
  std::optional<Usage> usage;
  bool ordered = false;
  bool settled = false;

 private:
  Scratch scratch_;
};

TarBuilder& odd(TarBuilder& tar, const std::string& name, uint32_t mode) {
  return tar.pax({{"SCHILY.xattr.user.of", name}})
      .add({.name = name, .type = '5', .mode = mode, .mtime = 3000, .uid = 12, .gid = 34});
}

// a/ and a/b, which look like nothing that an archive would leave out.
std::string base_layer(uint32_t mode = 0711) {
  TarBuilder tar;
  odd(tar, "a", mode);
  odd(tar, "a/b", 01750);
  return tar.file("a/b/old", "old").symlink("link", "a").file("file", "").end();
}

}  // namespace

TEST_CASE("settle: implied directories look like those below, or are new") {
  Loose loose({base_layer()}, TarBuilder().file("a/b/c/file", "1").file("x/y/z", "2").end());
  CHECK(loose.settled);
  auto files = listing(loose.upper, true);
  CHECK(files["/a"] == "40711 12:34 mtime=3000.000000000 user.of=a");
  CHECK(files["/a/b"] == "41750 12:34 mtime=3000.000000000 user.of=a/b");
  CHECK(files["/a/b/c"].starts_with("40755 0:0"));
  CHECK(files["/x/y"].starts_with("40755 0:0"));

  Loose nothing({TarBuilder().file("other", "").end()}, TarBuilder().file("a/b/c/file", "").end());
  CHECK(nothing.settled);
}

TEST_CASE("settle: several layers below, with whiteouts and opaque directories between") {
  std::string layer = TarBuilder().file("a/b/c/file", "1").dir("a/d").file("a/d/e/f", "").end();
  CHECK(Loose({base_layer(), TarBuilder().dir("a/b", 0500).end()}, layer).settled);
  CHECK(Loose({base_layer(), TarBuilder().file(".wh.a", "").end()}, layer).settled);
  CHECK(Loose({base_layer(), TarBuilder().file("a/.wh.b", "").end()}, layer).settled);
  CHECK(
      Loose({base_layer(), TarBuilder().dir("a").file("a/.wh..wh..opq", "").end()}, layer).settled);
  CHECK(Loose({base_layer(), TarBuilder().file(".wh.a", "").dir("a", 0700).end()}, layer).settled);
  CHECK(Loose({base_layer(), TarBuilder().file("a", "").end(), TarBuilder().dir("a").end()}, layer)
            .settled);
}

TEST_CASE("settle: below something else, the entry belongs elsewhere or nowhere") {
  Loose link({base_layer()}, TarBuilder().file("link/b/new", "").end());
  CHECK((link.ordered && !link.settled));
  Loose out({TarBuilder().symlink("link", "/etc").end()},
            TarBuilder().file("link/b/new", "").end());
  CHECK((out.ordered && !out.settled));
  Loose file({base_layer()}, TarBuilder().file("file/new", "").end());
  CHECK((!file.ordered && !file.settled));
  Loose deep({TarBuilder().dir("a").symlink("a/b", "../x").end()},
             TarBuilder().file("a/b/c/file", "").end());
  CHECK((deep.ordered && !deep.settled));
  // What the layer says of it later does not move what came before.
  Loose later({base_layer()}, TarBuilder().file("link/new", "").dir("link").end());
  CHECK((later.ordered && !later.settled));
  // A link that something hides is none.
  CHECK(Loose({base_layer(), TarBuilder().file(".wh.link", "").end()},
              TarBuilder().file("link/new", "").end())
            .settled);
}

TEST_CASE("settle: directories described before, later and below links of the layer itself") {
  CHECK(Loose({base_layer()}, TarBuilder().file("a/b/new", "").dir("a/b", 0701).dir("a").end())
            .settled);
  CHECK(Loose({base_layer()}, TarBuilder().dir("a", 0700).file("a/b/new", "").end()).settled);
  CHECK(Loose({base_layer()}, TarBuilder().symlink("to", "a/b").file("to/new", "").end()).settled);
  CHECK(
      Loose({base_layer()}, TarBuilder().symlink("to", "a/../x").file("to/new", "").end()).settled);
  CHECK(
      Loose({base_layer()}, TarBuilder().file("a/b/new", "").hard_link("a/linked", "a/b/new").end())
          .settled);
}

TEST_CASE("settle: deletions in implied directories, and of them") {
  CHECK(Loose({base_layer()}, TarBuilder().file("a/b/.wh.old", "").file("a/.wh.none", "").end())
            .settled);
  CHECK(Loose({base_layer()}, TarBuilder().file("a/.wh.b", "").file("a/b/new", "").end()).settled);
  CHECK(Loose({base_layer()}, TarBuilder().file("a/.wh..wh..opq", "").file("a/b/new", "").end())
            .settled);
  CHECK(Loose({base_layer()}, TarBuilder().dir("a").file("a/.wh..wh..opq", "").dir("a/b").end())
            .settled);
  // In an order that only applying can follow.
  CHECK(!Loose({base_layer()}, TarBuilder().file("a/b/new", "").file("a/.wh..wh..opq", "").end())
             .settled);
  CHECK(!Loose({base_layer()}, TarBuilder().file(".wh..wh..opq", "").file("a/b/new", "").end())
             .settled);
  CHECK(!Loose({base_layer()}, TarBuilder().dir("a").dir("a/b").file("a/.wh..wh..opq", "").end())
             .settled);
  CHECK(!Loose({base_layer()}, TarBuilder().file("link/b/new", "").file(".wh.link", "").end())
             .settled);
  CHECK(!Loose({base_layer()}, TarBuilder().file("a/b/new", "").file("a", "now").end()).settled);
  // A whiteout that hides nothing would be seen where the directory is nobody else's.
  CHECK(!Loose({base_layer()}, TarBuilder().file("x/.wh.y", "").file("x/z", "").end()).settled);
  CHECK(Loose({base_layer()}, TarBuilder().file(".wh.x", "").file("x/.wh.y", "").end()).settled);
  // Where nothing is below, the order does not matter.
  CHECK(Loose({TarBuilder().file("other", "").end()},
              TarBuilder().file("a/b/new", "").file("a/.wh..wh..opq", "").end())
            .settled);
}

TEST_CASE("settle: a group that directories pass on") {
  std::string setgid = base_layer(02775);
  Loose loose({setgid}, TarBuilder().file("a/c/d/new", "").file("a/new", "").dir("a/e").end());
  CHECK(loose.settled);
  CHECK(listing(loose.upper)["/a"].starts_with("42775 12:34"));
  CHECK(listing(loose.upper)["/a/c"].starts_with("40755 0:34"));
  CHECK(listing(loose.upper)["/a/c/d"].starts_with("40755 0:0"));
  CHECK(Loose({setgid}, TarBuilder().file("a/c/new", "").dir("a/c").end()).settled);
  CHECK(!Loose({setgid}, TarBuilder().file("a/c/new", "").dir("a").end()).settled);
  CHECK(!Loose({setgid}, TarBuilder().file("a/.wh.b", "").file("a/b/new", "").end()).settled);
  CHECK(
      !Loose({setgid}, TarBuilder().file("a/.wh..wh..opq", "").file("a/c/new", "").end()).settled);
}

TEST_CASE("settle: a default ACL would be in every file") {
  // user::rwx, group::r-x, other::r-x
  std::string acl(
      "\x02\0\0\0\x01\0\x07\0\xff\xff\xff\xff\x04\0\x05\0\xff\xff\xff\xff\x20\0\x05\0\xff\xff\xff"
      "\xff",
      28);
  TarBuilder base;
  base.pax({{"SCHILY.xattr.system.posix_acl_default", acl}}).dir("a");
  CHECK(!Loose({base.end()}, TarBuilder().file("a/new", "").end()).settled);
}

TEST_CASE("settle: implied directories are counted with what they hold") {
  TarBuilder layer;
  for (int i = 0; i < 300; i++) layer.file("a/b/" + std::to_string(i), "x");
  Loose loose({base_layer()}, layer.end());
  CHECK(loose.settled);
  Cancel cancel;
  auto walked = disk_usage(loose.upper, cancel);
  REQUIRE(walked.has_value());
  REQUIRE(loose.usage.has_value());
  CHECK(loose.usage->inodes == walked->inodes);
  CHECK(loose.usage->bytes == walked->bytes);
}

namespace {

// Few names, so that layers meet.
std::string random_layer(std::minstd_rand& random) {
  auto pick = [&](unsigned below) { return static_cast<unsigned>(random() >> 8) % below; };
  auto path = [&] {
    std::string names = std::string(1, static_cast<char>('a' + pick(3)));
    while (pick(2) == 0) names += std::string("/") + static_cast<char>('a' + pick(3));
    return names;
  };
  TarBuilder tar;
  for (unsigned left = 1 + pick(6); left > 0; left--) {
    std::string name = path();
    std::string parent = name.substr(0, name.rfind('/') + 1);
    switch (pick(9)) {
      case 0:
        tar.symlink(name, (pick(2) == 0 ? "/" : "../") + path());
        break;
      case 1:
        tar.file(parent + ".wh." + name.substr(parent.size()), "");
        break;
      case 2:
        tar.file(parent + ".wh..wh..opq", "");
        break;
      case 3:
        tar.hard_link(name, path());
        break;
      case 4:
      case 5:
      case 6:
        if (pick(3) == 0) tar.pax({{"SCHILY.xattr.user.by", std::to_string(pick(100))}});
        tar.add({.name = name,
                 .type = '5',
                 .mode = pick(6) == 0 ? 02775 : 0700 + pick(0100),
                 .mtime = 2000 + pick(100),
                 .uid = pick(3),
                 .gid = 5 + pick(3)});
        break;
      default:
        tar.file(name, std::to_string(pick(100)));
    }
  }
  return tar.end();
}

}  // namespace

TEST_CASE("settle: any layer on any others") {
  const char* many = getenv("DAVIT_SETTLE_ROUNDS");
  unsigned rounds = many == nullptr ? 300 : static_cast<unsigned>(std::atoi(many));
  unsigned settled = 0;
  for (unsigned seed = 1; seed <= rounds; seed++) {
    CAPTURE(seed);
    std::minstd_rand random(seed);
    std::vector<std::string> below;
    for (unsigned i = 0; i < 1 + seed % 3; i++) below.push_back(random_layer(random));
    if (Loose(below, random_layer(random), true).settled) settled++;
  }
  MESSAGE(settled << " of " << rounds << " settled");
  CHECK(settled > rounds / 4);
}

TEST_CASE("settle: more implied directories than are remembered") {
  TarBuilder layer;
  std::string name(90, 'n');
  for (int i = 0; i < 12000; i++) layer.file(name + std::to_string(i) + "/f", "");
  CHECK(!Loose({base_layer()}, layer.end()).settled);
}
