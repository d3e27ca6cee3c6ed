// EROFS images: what the kernel shows of one must be what the tree was.
#include <cstdlib>

#include "native/layer/apply.h"
#include "native/layer/erofs_image.h"
#include "native/layer/testing/doctest.h"
#include "native/layer/testing/scratch.h"
#include "native/layer/testing/tar_builder.h"

using namespace davit;
using namespace davit::layer;
using namespace davit::layer::testing;

namespace {

void shell(const std::string& command) {
  REQUIRE(std::system(command.c_str()) == 0);
}

Result<ErofsSummary> make(const std::string& root, const std::string& file) {
  Cancel cancel;
  Fd image(open(file.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  return make_erofs(root, std::move(image), {.digest = true}, cancel);
}

// An image of `root`, mounted for as long as this lives.
struct Mounted {
  Mounted(const Scratch& scratch, const std::string& root, const std::string& name)
      : file(scratch.dir("images") + "/" + name), target(scratch.dir("mounted-" + name)) {
    auto made = make(root, file);
    if (!made) FAIL(made.error().text());
    shell("mount -t erofs -o ro,loop " + file + " " + target);
  }
  ~Mounted() { umount2(target.c_str(), MNT_DETACH); }
  Mounted(const Mounted&) = delete;
  Mounted& operator=(const Mounted&) = delete;

  std::string file;
  std::string target;
};

using Listing = std::map<std::string, std::string>;

void check_same(const Listing& shown, const Listing& expected) {
  for (const auto& [path, text] : expected) {
    CAPTURE(path);
    REQUIRE(shown.contains(path));
    CHECK(shown.at(path) == text);
  }
  CHECK(shown.size() == expected.size());
}

// The independent checker, where it is installed.
void check(const std::string& file) {
  if (std::system("command -v fsck.erofs >/dev/null") != 0) {
    MESSAGE("fsck.erofs is not installed: images are checked by the kernel alone");
    return;
  }
  shell("fsck.erofs " + file + " >/dev/null");
}

}  // namespace

TEST_CASE("erofs: shows the tree that it was made of") {
  Scratch scratch;
  REQUIRE(scratch.ready());
  std::string root = scratch.dir("root");
  shell("cd " + root + R"sh(
    mkdir -p etc/deep/deeper empty; echo hello >etc/file; ln etc/file etc/deep/same; : >none
    ln -s ../etc/file etc/link; ln -s "$(head -c 4000 /dev/zero | tr '\0' x)" long-link
    mkfifo pipe; mknod block b 8 300; mknod char c 300 70000; mknod gone c 0 0; touch -d @0 gone
    head -c 4096 /dev/urandom >block-size; head -c 4097 /dev/urandom >above
    head -c 4000 /dev/urandom >nearly; head -c 4096000 /dev/urandom >large
    chmod 4755 etc/file; chown 70000:80000 etc/deep; chmod 1777 empty
    setfattr -n trusted.overlay.opaque -v y etc/deep; setfattr -n trusted.overlay.origin -v x etc/deep
    setfattr -n trusted.overlay.redirect -v /etc etc/deep/deeper
    setfattr -n security.capability -v 0x0100000200040000000000000000000000000000 etc/file
    setfattr -n trusted.big -v "$(head -c 9000 /dev/zero | tr '\0' v)" etc/deep/deeper
    setfattr -h -n trusted.on-link -v 1 etc/link; setfattr -h -n trusted.on-device -v 1 gone
    touch -h -d @1234567890.123456789 etc/link etc/file etc/deep empty char; touch -d @-5.5 none)sh");
  Mounted image(scratch, root, "tree");
  check(image.file);
  auto before = listing(root, true);
  auto after = listing(image.target, true);
  // What is the upper layer's alone is not in the image.
  std::string& deep = before["/etc/deep"];
  deep.erase(deep.find(" trusted.overlay.origin=x"), 25);
  CHECK(before.size() == 18);
  check_same(after, before);
  shell("cd " + root + " && for f in block-size above nearly large; do cmp $f " + image.target +
        "/$f || exit 1; done");
}

TEST_CASE("erofs: finds every name of large directories") {
  Scratch scratch;
  REQUIRE(scratch.ready());
  std::string root = scratch.dir("root");
  // Names before "." and after 0x7f too.
  shell("cd " + root +
        R"sh( && touch '!first' "$(printf '\377\376')" "$(head -c 255 /dev/zero | tr '\0' n)" &&
    seq -f 'name-%g' 3000 | xargs touch && mkdir sub && cd sub && seq 500 | xargs mkdir)sh");
  Mounted image(scratch, root, "names");
  check(image.file);
  check_same(listing(image.target, true), listing(root, true));
  struct stat info;
  REQUIRE(stat((image.target + "/sub").c_str(), &info) == 0);
  CHECK(info.st_nlink == 502);
}

TEST_CASE("erofs: keeps holes") {
  Scratch scratch;
  REQUIRE(scratch.ready());
  std::string root = scratch.dir("root");
  shell("cd " + root +
        R"sh( && truncate -s 200M sparse && printf begin | dd of=sparse conv=notrunc status=none &&
    printf middle | dd of=sparse bs=1 seek=123456789 conv=notrunc status=none &&
    truncate -s 100000 small && printf x | dd of=small bs=1 seek=50000 conv=notrunc status=none &&
    truncate -s 20M void)sh");
  Mounted image(scratch, root, "sparse");
  check(image.file);
  auto before = listing(root, true);
  check_same(listing(image.target, true), before);
  shell("cd " + image.target + R"sh( && cmp small ../root/small &&
    test "$(dd if=sparse bs=1 skip=123456789 count=6 status=none)" = middle &&
    test "$(dd if=sparse bs=1M skip=117 count=2 status=none | tr -d '\0')" = middle)sh");
  struct stat info;
  REQUIRE(stat(image.file.c_str(), &info) == 0);
  CHECK(info.st_blocks * 512 < 1 << 20);
}

TEST_CASE("erofs: gives the same bytes for the same tree, and others for another") {
  Scratch scratch;
  REQUIRE(scratch.ready());
  std::string root = scratch.dir("root");
  shell("cd " + root + " && mkdir d && seq 1000 >d/f && ln d/f d/g && touch -d @5 d/f d .");
  auto first = make(root, scratch.dir("images") + "/1");
  std::string copy = scratch.dir("copy");
  shell("cp -a " + root + "/. " + copy);
  auto second = make(copy, scratch.dir("images") + "/2");
  REQUIRE(first);
  REQUIRE(second);
  CHECK(first->digest == second->digest);
  CHECK(first->size == second->size);
  shell("touch -d @6 " + copy + "/d/f");
  auto third = make(copy, scratch.dir("images") + "/3");
  REQUIRE(third);
  CHECK(third->digest != first->digest);
}

TEST_CASE("erofs: is a lower layer that hides what the layer deletes") {
  Scratch scratch;
  REQUIRE(scratch.ready());
  Cancel cancel;
  std::string base =
      TarBuilder().dir("a").file("a/x", "1").file("a/y", "2").dir("b").file("b/z", "3").end();
  std::string top = TarBuilder()
                        .dir("a")
                        .file("a/.wh.x", "")
                        .dir("b")
                        .file("b/.wh..wh..opq", "")
                        .file("b/n", "4")
                        .end();
  std::string plain = scratch.dir("plain");
  std::string layers[2];
  for (int i = 0; i < 2; i++) {
    const std::string& bytes = i == 0 ? base : top;
    layers[i] = scratch.dir("layer" + std::to_string(i));
    REQUIRE(apply(memory_file(bytes), 0, -1, Compression::kDetect, {.root = plain}, cancel));
    REQUIRE(apply(memory_file(bytes), 0, -1, Compression::kDetect,
                  {.root = layers[i], .overlay = true}, cancel));
  }
  Mounted lower(scratch, layers[0], "base");
  Mounted upper(scratch, layers[1], "top");
  std::string merged = scratch.dir("merged");
  std::string data = "lowerdir=" + upper.target + ":" + lower.target;
  REQUIRE(::mount("overlay", merged.c_str(), "overlay", MS_RDONLY, data.c_str()) == 0);
  auto shown = listing(merged);
  auto expected = listing(plain);
  umount2(merged.c_str(), MNT_DETACH);
  shown.erase("");
  expected.erase("");
  check_same(shown, expected);
}

TEST_CASE("erofs: stops when it is told to, and tells where it failed") {
  Scratch scratch;
  REQUIRE(scratch.ready());
  std::string root = scratch.dir("root");
  shell("mkdir -p " + root + "/sub && mount -t tmpfs tmpfs " + root + "/sub");
  auto failed = make(root, scratch.dir("images") + "/1");
  umount2((root + "/sub").c_str(), MNT_DETACH);
  REQUIRE(!failed);
  CHECK(failed.error().code == EXDEV);
  CHECK(failed.error().text().contains(root + "/sub"));
  Cancel cancel;
  cancel.request();
  auto stopped = make_erofs(root, memory_file(""), {}, cancel);
  REQUIRE(!stopped);
  CHECK(stopped.error().code == ECANCELED);
}
