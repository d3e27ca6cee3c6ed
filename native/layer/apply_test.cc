// Applying archives to plain folders: real files, as root.
#include "native/layer/apply.h"

#include <cstdlib>

#include "native/layer/testing/doctest.h"
#include "native/layer/testing/scratch.h"
#include "native/layer/testing/tar_builder.h"

using namespace davit;
using namespace davit::layer;
using namespace davit::layer::testing;

namespace {

Result<ApplySummary> apply_to(const std::string& root, const std::string& bytes,
                              ApplyOptions options = {}) {
  options.root = root;
  Cancel cancel;
  return apply(memory_file(bytes), 0, -1, Compression::kDetect, options, cancel);
}

std::string compressed(const char* program, const std::string& bytes) {
  write_file("/tmp/davit-layer-in", bytes);
  std::string command = std::string(program) + " -c </tmp/davit-layer-in >/tmp/davit-layer-out";
  REQUIRE(std::system(command.c_str()) == 0);
  std::string result = read_file("/tmp/davit-layer-out");
  unlink("/tmp/davit-layer-in");
  unlink("/tmp/davit-layer-out");
  return result;
}

struct stat stat_of(const std::string& path) {
  struct stat info{};
  CHECK(lstat(path.c_str(), &info) == 0);
  return info;
}

bool exists(const std::string& path) {
  return access(path.c_str(), F_OK) == 0;
}

}  // namespace

TEST_CASE("apply: all kinds of entries with their metadata") {
  Scratch scratch;
  REQUIRE(scratch.ready());
  std::string root = scratch.dir("root");
  auto applied = apply_to(
      root, TarBuilder()
                .dir("./")
                .dir("d/", 0750, 2000)
                .pax({{"mtime", "1500.000000007"}, {"SCHILY.xattr.user.note", "hi"}})
                .add({.name = "d/f", .mode = 06755, .uid = 7, .gid = 8}, "content")
                .add({.name = "d/h", .type = '1', .link = "d/f", .mode = 06755, .uid = 7, .gid = 8})
                .symlink("d/s", "/etc/passwd")
                .add({.name = "d/c", .type = '3', .mode = 0666, .major = 1, .minor = 3})
                .add({.name = "d/b", .type = '4', .mode = 0660, .major = 7, .minor = 9})
                .add({.name = "d/p", .type = '6', .mode = 0600})
                .add({.name = "old", .mtime = 0}, "")
                .file("deep/er/est", "x")
                .end());
  if (!applied) FAIL(applied.error().text());
  CHECK(applied->entries == 10);
  auto files = listing(root, true);
  CHECK(files["/d"] == "40750 0:0 mtime=2000.000000000");
  CHECK(files["/d/f"].starts_with("106755 7:8 links=2"));
  CHECK(stat_of(root + "/d/f").st_ino == stat_of(root + "/d/h").st_ino);
  CHECK(files["/d/s"] == "120777 0:0 links=1 mtime=1000.000000000 -> /etc/passwd");
  CHECK(files["/d/c"] == "20666 0:0 links=1 dev=1:3 mtime=1000.000000000");
  CHECK(files["/d/b"] == "60660 0:0 links=1 dev=7:9 mtime=1000.000000000");
  CHECK(files["/d/p"] == "10600 0:0 links=1 mtime=1000.000000000");
  CHECK(files["/deep/er"].starts_with("40755 0:0"));
  CHECK(files["/deep/er/est"] == "100644 0:0 links=1 mtime=1000.000000000 \"x\"");
}

TEST_CASE("apply: attributes; trusted ones and overlayfs's own are not taken") {
  Scratch scratch;
  std::string root = scratch.dir("root");
  std::string capability(
      "\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00"
      "\x00\x00\x00\x00\x00\x00\x00\x00",
      20);
  REQUIRE(apply_to(root, TarBuilder()
                             .pax({{"SCHILY.xattr.security.capability", capability},
                                   {"SCHILY.xattr.trusted.overlay.opaque", "y"},
                                   {"SCHILY.xattr.user.overlay.opaque", "y"},
                                   {"SCHILY.xattr.nonsense", "1"}})
                             .add({.name = "f", .mode = 0755, .uid = 5}, "x")
                             .end())
              .has_value());
  char value[64];
  CHECK(lgetxattr((root + "/f").c_str(), "security.capability", value, sizeof value) == 20);
  CHECK(lgetxattr((root + "/f").c_str(), "trusted.overlay.opaque", value, sizeof value) < 0);
  CHECK(lgetxattr((root + "/f").c_str(), "user.overlay.opaque", value, sizeof value) < 0);
}

TEST_CASE("apply: nothing outside the root is touched") {
  Scratch scratch;
  std::string outside = scratch.dir("outside");
  write_file(outside + "/victim", "safe", 0600);
  std::string up = "../../../../../../..";
  const std::vector<std::string> archives = {
      TarBuilder().file("../outside/victim", "evil").end(),
      TarBuilder().file("../../outside/victim", "evil").end(),
      TarBuilder().file(outside + "/victim", "evil").end(),
      TarBuilder().file("a/../../outside/victim", "evil").end(),
      TarBuilder().symlink("l", outside).file("l/victim", "evil").end(),
      TarBuilder().symlink("l", "../outside").file("l/victim", "evil").end(),
      TarBuilder().symlink("l", up + outside).file("l/victim", "evil").end(),
      TarBuilder().symlink("l", outside + "/victim").file("l", "evil").end(),
      TarBuilder().symlink("l", outside + "/victim").add({.name = "l", .mode = 0777}).end(),
      TarBuilder().symlink("d", outside).dir("d", 0777).end(),
      TarBuilder().hard_link("h", outside + "/victim").add({.name = "h"}, "evil").end(),
      TarBuilder().hard_link("h", "../outside/victim", 0777).end(),
      TarBuilder().symlink("l", outside).hard_link("h", "l/victim", 0777).end(),
      TarBuilder().symlink("l", outside + "/victim").hard_link("h", "l", 0777).end(),
      TarBuilder().symlink("l", outside).file("l/.wh.victim", "").end(),
      TarBuilder().symlink("l", outside).file("l/.wh..wh..opq", "").end(),
      TarBuilder().file("../outside/.wh.victim", "").end(),
      TarBuilder().file(".wh...", "").end(),
      TarBuilder().file(".wh..", "").end(),
      TarBuilder().symlink("a", "b").symlink("b", "../..").file("a/outside/victim", "evil").end(),
      TarBuilder().symlink("x", "/proc/self/root").file("x" + outside + "/victim", "evil").end(),
      TarBuilder().symlink("l", "l").file("l/f", "evil").end(),
  };
  auto before = listing(outside, true);
  for (size_t i = 0; i < archives.size(); i++) {
    CAPTURE(i);
    std::string root = scratch.dir("root" + std::to_string(i));
    (void)apply_to(root, archives[i]);
    CHECK(listing(outside, true) == before);
  }
}

TEST_CASE("apply: names are clamped to the root") {
  Scratch scratch;
  std::string root = scratch.dir("root");
  REQUIRE(apply_to(root, TarBuilder()
                             .file("../up", "1")
                             .file("/abs/./x", "2")
                             .file("a/../b", "3")
                             .symlink("abs-link", "/abs")
                             .file("abs-link/y", "4")
                             .symlink("dangling", "made/by/link")
                             .file("dangling/z", "5")
                             .end())
              .has_value());
  CHECK(read_file(root + "/up") == "1");
  CHECK(read_file(root + "/abs/x") == "2");
  CHECK(read_file(root + "/b") == "3");
  CHECK(read_file(root + "/abs/y") == "4");
  CHECK(read_file(root + "/made/by/link/z") == "5");
}

TEST_CASE("apply: invalid whiteouts and links are errors that name the entry") {
  Scratch scratch;
  auto error_of = [&](const std::string& bytes) {
    auto applied = apply_to(scratch.dir("root"), bytes);
    return applied ? std::string() : applied.error().message;
  };
  CHECK(error_of(TarBuilder().file("d/.wh..", "").end()).find("entry \"d/.wh..\"") == 0);
  CHECK(error_of(TarBuilder().file("d/.wh.", "").end()).find("invalid whiteout") !=
        std::string::npos);
  CHECK(error_of(TarBuilder().hard_link("h", "nowhere").end()).find("nowhere") !=
        std::string::npos);
  CHECK(error_of(TarBuilder().hard_link("h", "/").end()).find("root") != std::string::npos);
  CHECK(error_of(TarBuilder().file("f", "").file("f/g", "").end()).find("in the way") !=
        std::string::npos);
  CHECK(error_of(TarBuilder()
                     .file(std::string(99, 'n'), "")
                     .gnu_long('L', std::string(5000, 'x'))
                     .file("n", "")
                     .end())
            .find("too long") != std::string::npos);
}

TEST_CASE("apply: files, directories and links replace each other") {
  Scratch scratch;
  std::string root = scratch.dir("root");
  REQUIRE(apply_to(root, TarBuilder()
                             .dir("d")
                             .file("d/inside", "x")
                             .file("f", "x")
                             .dir("keep", 0700)
                             .file("keep/inside", "x")
                             .symlink("s", "keep")
                             .end())
              .has_value());
  REQUIRE(apply_to(root, TarBuilder()
                             .file("d", "now a file")
                             .dir("f")
                             .file("f/inside", "y")
                             .dir("keep", 0755)
                             .dir("s")
                             .file("s/own", "z")
                             .end())
              .has_value());
  CHECK(read_file(root + "/d") == "now a file");
  CHECK(read_file(root + "/f/inside") == "y");
  CHECK(read_file(root + "/keep/inside") == "x");
  CHECK((stat_of(root + "/keep").st_mode & 07777) == 0755);
  CHECK(S_ISDIR(stat_of(root + "/s").st_mode));
  CHECK(!exists(root + "/keep/own"));
}

TEST_CASE("apply: whiteouts and opaque directories in a plain folder") {
  Scratch scratch;
  std::string root = scratch.dir("root");
  auto fill = [&] {
    REQUIRE(apply_to(root, TarBuilder()
                               .file("a", "")
                               .file("d/x", "")
                               .file("d/sub/y", "")
                               .file("d/sub/z", "")
                               .end())
                .has_value());
  };
  fill();
  REQUIRE(apply_to(root, TarBuilder().file(".wh.a", "").file("d/.wh.sub", "").end()).has_value());
  CHECK(!exists(root + "/a"));
  CHECK(!exists(root + "/.wh.a"));
  CHECK(!exists(root + "/d/sub"));
  CHECK(exists(root + "/d/x"));

  fill();  // the marker first
  REQUIRE(
      apply_to(root, TarBuilder().file("d/.wh..wh..opq", "").file("d/new", "").end()).has_value());
  CHECK(exists(root + "/d/new"));
  CHECK(!exists(root + "/d/x"));

  fill();  // and last: what the layer wrote itself stays
  REQUIRE(apply_to(root, TarBuilder().file("d/sub/y", "new").file("d/.wh..wh..opq", "").end())
              .has_value());
  CHECK(!exists(root + "/d/x"));
  CHECK(!exists(root + "/d/new"));
  CHECK(!exists(root + "/d/sub/z"));

  REQUIRE(apply_to(root, TarBuilder()
                             .file(".wh..wh.plnk/0.1", "")
                             .file("d/.wh..wh.aufs", "")
                             .file(".wh.absent", "")
                             .end())
              .has_value());
  CHECK(!exists(root + "/.wh..wh.plnk"));
  CHECK(!exists(root + "/d/.wh..wh.aufs"));
}

TEST_CASE("apply: times are those of the archive, also of directories, and bounded") {
  Scratch scratch;
  std::string root = scratch.dir("root");
  REQUIRE(apply_to(root, TarBuilder()
                             .dir("d", 0755, 1111)
                             .dir("d/e", 0755, 2222)
                             .file("d/e/f", "")
                             .file("d/g", "")
                             .pax({{"mtime", "-5"}})
                             .file("negative", "")
                             .pax({{"mtime", "99999999999999"}})
                             .file("far", "")
                             .pax({{"mtime", "10"}, {"atime", "20"}})
                             .file("atime", "")
                             .end())
              .has_value());
  CHECK(stat_of(root + "/d").st_mtim.tv_sec == 1111);
  CHECK(stat_of(root + "/d/e").st_mtim.tv_sec == 2222);
  CHECK(stat_of(root + "/negative").st_mtim.tv_sec == 0);
  CHECK(stat_of(root + "/far").st_mtim.tv_sec == 0);
  CHECK(stat_of(root + "/atime").st_atim.tv_sec == 20);
}

TEST_CASE("apply: the digest covers everything, and compression is found out") {
  Scratch scratch;
  // sha256 of the archive by another program.
  std::string archive = TarBuilder().file("f", std::string(100'000, 'x')).end() + "trailing bytes";
  write_file("/tmp/davit-layer-sum", archive);
  FILE* sum = popen("sha256sum </tmp/davit-layer-sum", "r");
  char expected[65] = {};
  REQUIRE(fread(expected, 1, 64, sum) == 64);
  pclose(sum);
  unlink("/tmp/davit-layer-sum");

  std::string gzip =
      compressed("gzip", archive.substr(0, 5000)) + compressed("gzip", archive.substr(5000));
  std::string zstd = compressed("zstd", archive.substr(0, 5000)) +
                     std::string("\x50\x2a\x4d\x18\x03\x00\x00\x00zzz", 11) +
                     compressed("zstd", archive.substr(5000));
  const std::vector<std::string> blobs = {archive, gzip, gzip + std::string(1000, '\0'), zstd};
  for (size_t i = 0; i < blobs.size(); i++) {
    CAPTURE(i);
    std::string root = scratch.dir("root" + std::to_string(i));
    auto applied = apply_to(root, blobs[i]);
    if (!applied) FAIL(applied.error().text());
    CHECK(applied->digest == std::string("sha256:") + expected);
    CHECK(applied->size == static_cast<int64_t>(archive.size()));
    CHECK(stat_of(root + "/f").st_size == 100'000);
  }
  for (const std::string& blob : {gzip, zstd}) {
    for (size_t cut : {size_t{1}, size_t{8}, blob.size() / 2}) {
      auto applied = apply_to(scratch.dir("cut"), blob.substr(0, blob.size() - cut));
      CHECK(!applied.has_value());
    }
    std::string broken = blob;
    broken[broken.size() - 6] = static_cast<char>(broken[broken.size() - 6] ^ 0x55);
    CHECK(!apply_to(scratch.dir("broken"), broken).has_value());
  }
  CHECK(apply_to(scratch.dir("tail"), gzip + "garbage").error().code == EBADMSG);
}

TEST_CASE("apply: a part of a file, limits, cancellation") {
  Scratch scratch;
  std::string archive = TarBuilder().file("f", "x").file("g", "y").end();
  Cancel cancel;
  ApplyOptions options;
  options.root = scratch.dir("part");
  auto part = apply(memory_file("junk" + archive + "junk"), 4, static_cast<int64_t>(archive.size()),
                    Compression::kNone, options, cancel);
  REQUIRE(part.has_value());
  CHECK(part->size == static_cast<int64_t>(archive.size()));
  auto beyond = apply(memory_file(archive), 0, static_cast<int64_t>(archive.size()) + 1,
                      Compression::kNone, options, cancel);
  CHECK(beyond.error().code == EIO);

  CHECK(apply_to(scratch.dir("a"), archive, {.max_size = 100}).error().code == EFBIG);
  CHECK(apply_to(scratch.dir("b"), archive, {.max_entries = 1}).error().code == EFBIG);
  std::string bomb = compressed("gzip", TarBuilder().file("z", std::string(50 << 20, 0)).end());
  CHECK(apply_to(scratch.dir("c"), bomb, {.max_size = 1 << 20}).error().code == EFBIG);

  cancel.request();
  CHECK(apply(memory_file(archive), 0, -1, Compression::kNone, options, cancel).error().code ==
        ECANCELED);
  CHECK(apply_to("/nonexistent/folder", archive).error().code == ENOENT);
}

TEST_CASE("apply: deep paths and many names cost in proportion") {
  Scratch scratch;
  std::string deep;
  for (int i = 0; i < 900; i++) deep += "d/";
  TarBuilder builder;
  for (int i = 0; i < 2000; i++) {
    builder.gnu_long('L', deep + std::to_string(i)).file("x", "");
  }
  timespec start, stop;
  clock_gettime(CLOCK_MONOTONIC, &start);
  auto applied = apply_to(scratch.dir("root"), builder.end());
  clock_gettime(CLOCK_MONOTONIC, &stop);
  if (!applied) FAIL(applied.error().text());
  CHECK(stop.tv_sec - start.tv_sec < 10);
  auto too_deep = apply_to(scratch.dir("deeper"),
                           TarBuilder().gnu_long('L', deep + deep + "x").file("x", "").end());
  CHECK(too_deep.error().code == ENAMETOOLONG);
}

TEST_CASE("apply: many markers in one directory and above each other cost in proportion") {
  Scratch scratch;
  constexpr int kMany = 3000;
  TarBuilder builder;
  std::string nested;
  for (int i = 0; i < 40; i++) nested += "n/";
  for (int i = 0; i < kMany; i++) builder.file(nested + std::to_string(i), "");
  for (int i = 0; i < kMany; i++) builder.file(nested + ".wh..wh..opq", "");
  for (size_t end = nested.size(); end > 0; end -= 2) {
    builder.file(nested.substr(0, end) + ".wh..wh..opq", "");
  }
  timespec start, stop;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &start);
  auto applied = apply_to(scratch.dir("root"), builder.end());
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &stop);
  if (!applied) FAIL(applied.error().text());
  CHECK(applied->entries == 2 * kMany + 40);
  CHECK(stop.tv_sec - start.tv_sec < 3);
}

TEST_CASE("apply: what GNU tar writes, sparse files in every format") {
  Scratch scratch;
  std::string from = scratch.dir("from");
  REQUIRE(
      std::system(
          ("cd " + from +
           " && mkdir -p a/b && echo hi > a/b/f && ln a/b/f a/h && ln -s f a/b/l && "
           "mkfifo a/p && mkdir $(printf 'n%.0s' $(seq 150)) && truncate -s 3M a/sparse && "
           "for i in $(seq 0 40); do echo data | dd of=a/sparse bs=4096 seek=$((i*17)) "
           "conv=notrunc status=none; done && chmod 4711 a/b/f && touch -d @12345.678901234 a/b")
              .c_str()) == 0);
  auto expected = listing(from, true);
  const char* formats[] = {"--format=gnu",
                           "--format=gnu --sparse",
                           "--format=posix",
                           "--format=posix --sparse --sparse-version=0.0",
                           "--format=posix --sparse --sparse-version=0.1",
                           "--format=posix --sparse --sparse-version=1.0"};
  for (const char* format : formats) {
    CAPTURE(format);
    std::string file = scratch.dir("archives") + "/a.tar";
    REQUIRE(std::system(
                ("tar " + std::string(format) + " -C " + from + " -cf " + file + " .").c_str()) ==
            0);
    std::string to = scratch.dir("to");
    Cancel cancel;
    ApplyOptions options;
    options.root = to;
    auto applied = apply(Fd(open(file.c_str(), O_RDONLY | O_CLOEXEC)), 0, -1, Compression::kDetect,
                         options, cancel);
    if (!applied) FAIL(applied.error().text());
    auto got = listing(to, true);
    got.erase("");
    auto wanted = expected;
    wanted.erase("");
    for (auto& [path, text] : wanted) {
      if (std::string(format).find("gnu") != std::string::npos) {
        text = text.substr(0, text.find("mtime"));
        got[path] = got[path].substr(0, got[path].find("mtime"));
      }
      CAPTURE(path);
      CHECK(got[path] == text);
    }
    CHECK(got.size() == wanted.size());
    CHECK(std::system(("cmp " + from + "/a/sparse " + to + "/a/sparse").c_str()) == 0);
    if (std::string(format).find("--sparse") != std::string::npos) {
      CHECK(stat_of(to + "/a/sparse").st_blocks < 3 * 2048);
    }
    REQUIRE(std::system(("rm -rf " + to).c_str()) == 0);
  }
}

TEST_CASE("apply: what a layer takes is known without reading the tree") {
  Scratch scratch;
  REQUIRE(scratch.ready());
  std::string root = scratch.dir("root");
  TarBuilder layer;
  layer.dir("many/").add({.name = "implied/deep/f"}, std::string(5000, 'x'));
  for (int i = 0; i < 300; i++) layer.add({.name = "many/" + std::to_string(i)}, "small");
  auto bytes = layer.add({.name = "many/h", .type = '1', .link = "many/7"})
                   .symlink("many/s", "7")
                   .add({.name = "many/empty"}, "")
                   .add({.name = "many/large"}, std::string(100000, 'y'))
                   .end();
  Cancel cancel;
  auto applied = apply_to(root, bytes);
  REQUIRE(applied.has_value());
  REQUIRE(applied->usage.has_value());
  auto walked = disk_usage(root, cancel);
  REQUIRE(walked.has_value());
  CHECK(applied->usage->inodes == walked->inodes);
  CHECK(applied->usage->bytes == walked->bytes);

  auto again = apply_to(root, bytes);
  REQUIRE(again.has_value());
  CHECK(!again->usage);
}

TEST_CASE("apply: what a layer takes is not claimed when it replaces its own entries") {
  Scratch scratch;
  REQUIRE(scratch.ready());
  auto usage_of = [&](const char* name, TarBuilder layer, bool overlay) {
    auto applied = apply_to(scratch.dir(name), layer.end(), {.overlay = overlay});
    REQUIRE(applied.has_value());
    return applied->usage;
  };
  CHECK(!usage_of("twice", TarBuilder().add({.name = "f"}, "a").add({.name = "f"}, "b"), false));
  CHECK(!usage_of("other", TarBuilder().add({.name = "f"}, "a").dir("f/"), false));
  CHECK(!usage_of("gone", TarBuilder().add({.name = "f"}, "a").add({.name = ".wh.f"}, ""), false));
  auto marks = usage_of("marks", TarBuilder().add({.name = ".wh.f"}, ""), true);
  REQUIRE(marks.has_value());
  Cancel cancel;
  auto walked = disk_usage(scratch.dir("marks"), cancel);
  REQUIRE(walked.has_value());
  CHECK(marks->inodes == walked->inodes);
  CHECK(marks->bytes == walked->bytes);
}
