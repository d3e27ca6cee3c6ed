// Applying to overlay upper folders: what a mount of the result shows must be what the same layers
// give in a plain folder, and what lies in lower folders must not change.
#include "native/layer/apply.h"
#include "native/layer/testing/doctest.h"
#include "native/layer/testing/scratch.h"
#include "native/layer/testing/tar_builder.h"

using namespace davit;
using namespace davit::layer;
using namespace davit::layer::testing;

namespace {

Result<ApplySummary> apply_to(ApplyOptions options, const std::string& bytes) {
  Cancel cancel;
  return apply(memory_file(bytes), 0, -1, Compression::kDetect, options, cancel);
}

// Applies `layers` one above the other, both ways; the last line of defence against surprises is
// that the kernel itself reads the result.
struct Stack {
  explicit Stack(const std::vector<std::string>& layers) {
    REQUIRE(scratch.ready());
    std::string plain = scratch.dir("plain");
    std::vector<std::string> folders;  // the topmost first
    for (size_t i = 0; i < layers.size(); i++) {
      CAPTURE(i);
      auto one = apply_to({.root = plain}, layers[i]);
      if (!one) FAIL(one.error().text());
      std::string folder = scratch.dir("layer" + std::to_string(i));
      std::map<std::string, std::map<std::string, std::string>> before;
      for (const std::string& lower : folders) before[lower] = listing(lower, true);
      auto other = i == 0
                       ? apply_to({.root = folder}, layers[i])
                       : apply_to({.root = folder, .lowers = folders, .overlay = true}, layers[i]);
      if (!other) FAIL(other.error().text());
      CHECK(one->digest == other->digest);
      for (const std::string& lower : folders) CHECK(listing(lower, true) == before[lower]);
      folders.insert(folders.begin(), folder);
    }
    upper = folders.front();
    std::string data = "lowerdir=";
    for (const std::string& folder : folders) data += folder + ":";
    data.pop_back();
    std::string merged = scratch.dir("merged");
    if (folders.size() == 1) data += ":" + scratch.dir("empty");
    REQUIRE(::mount("overlay", merged.c_str(), "overlay", MS_RDONLY, data.c_str()) == 0);
    overlay_files = listing(merged);
    plain_files = listing(plain);
    umount2(merged.c_str(), MNT_DETACH);
    plain_files.erase("");
    overlay_files.erase("");
  }

  void check_same() const {
    for (const auto& [path, text] : plain_files) {
      CAPTURE(path);
      auto it = overlay_files.find(path);
      CHECK(it != overlay_files.end());
      if (it != overlay_files.end()) CHECK(it->second == text);
    }
    for (const auto& [path, text] : overlay_files) {
      CAPTURE(path);
      CHECK(plain_files.contains(path));
    }
  }

  Scratch scratch;
  std::string upper;
  std::map<std::string, std::string> plain_files;
  std::map<std::string, std::string> overlay_files;
};

std::string base_layer() {
  return TarBuilder()
      .dir("usr", 0711)
      .dir("usr/lib", 0750)
      .file("usr/lib/a", "a")
      .file("usr/lib/b", "b")
      .symlink("lib", "usr/lib")
      .symlink("abs", "/usr/lib")
      .dir("opt")
      .dir("opt/deep")
      .file("opt/deep/x", "x")
      .file("opt/deep/y", "y")
      .file("plain", "plain")
      .pax({{"SCHILY.xattr.user.mark", "base"}})
      .dir("marked", 0700)
      .file("marked/in", "in")
      .end();
}

}  // namespace

TEST_CASE("overlay: files added below directories of lower layers") {
  Stack stack({base_layer(), TarBuilder()
                                 .file("usr/lib/new", "new")
                                 .file("lib/through-link", "1")
                                 .file("abs/through-absolute-link", "2")
                                 .file("marked/more", "3")
                                 .end()});
  stack.check_same();
  CHECK(stack.overlay_files["/lib"].find("-> usr/lib") != std::string::npos);
  CHECK(listing(stack.upper)["/usr/lib"].starts_with("40750"));
  CHECK(listing(stack.upper)["/marked"].find("user.mark=base") != std::string::npos);
  struct stat info;
  REQUIRE(stat((stack.upper + "/usr/lib").c_str(), &info) == 0);
  CHECK(info.st_mtim.tv_sec == 1000);
}

TEST_CASE("overlay: whiteouts") {
  Stack stack({base_layer(), TarBuilder()
                                 .file("usr/lib/.wh.a", "")
                                 .file(".wh.opt", "")
                                 .file("lib/.wh.b", "")
                                 .file(".wh.absent", "")
                                 .end()});
  stack.check_same();
  CHECK(!stack.overlay_files.contains("/opt/deep/x"));
  CHECK(!listing(stack.upper).contains("/absent"));  // nothing to hide
}

TEST_CASE("overlay: a deleted directory made anew does not show its old content") {
  Stack stack({base_layer(), TarBuilder().file(".wh.opt", "").dir("opt").file("opt/new", "").end(),
               TarBuilder().file("plain2", "").end()});
  stack.check_same();
  CHECK(!stack.overlay_files.contains("/opt/deep"));

  Stack implied({base_layer(), TarBuilder().file(".wh.opt", "").file("opt/new", "").end()});
  implied.check_same();
  CHECK(!implied.overlay_files.contains("/opt/deep"));

  Stack over_file({base_layer(), TarBuilder().file("opt", "file").dir("opt").end()});
  over_file.check_same();
  CHECK(!over_file.overlay_files.contains("/opt/deep"));

  Stack over_two({base_layer(), TarBuilder().file(".wh.opt", "").end(),
                  TarBuilder().dir("opt").file("opt/three", "").end()});
  over_two.check_same();
}

TEST_CASE("overlay: opaque directories, the marker first, last and below links") {
  Stack first({base_layer(),
               TarBuilder().dir("opt").file("opt/.wh..wh..opq", "").file("opt/new", "").end()});
  first.check_same();
  Stack last(
      {base_layer(), TarBuilder().file("opt/deep/new", "").file("opt/.wh..wh..opq", "").end()});
  CHECK(!last.overlay_files.contains("/opt/deep/x"));
  CHECK(last.overlay_files.contains("/opt/deep/new"));
  Stack root({base_layer(), TarBuilder()
                                .dir("marked")
                                .file("marked/more", "")
                                .file(".wh..wh..opq", "")
                                .file("opt/new", "")
                                .symlink("usr", "opt")
                                .dir("usr")
                                .end()});
  root.check_same();
  CHECK(root.overlay_files.size() == 5);
  Stack linked({base_layer(), TarBuilder().file("lib/.wh..wh..opq", "").end()});
  linked.check_same();
  CHECK(!linked.overlay_files.contains("/usr/lib/a"));
  Stack above({base_layer(), TarBuilder().file("opt/.wh..wh..opq", "").file("opt/1", "").end(),
               TarBuilder().file("opt/2", "").file("opt/deep/3", "").end()});
  above.check_same();
}

TEST_CASE("overlay: hard links to files of lower layers") {
  Stack stack({base_layer(), TarBuilder()
                                 .hard_link("linked", "usr/lib/a", 0600)
                                 .hard_link("linked-too", "lib/a", 0600)
                                 .hard_link("link-to-link", "lib", 0777)
                                 .end()});
  // In the plain folder the file itself has the new mode and one link more, as with a mount.
  stack.check_same();
  CHECK(stack.overlay_files["/linked"].starts_with("100600 0:0 links=3"));
  CHECK(stack.overlay_files["/usr/lib/a"].starts_with("100600 0:0 links=3"));
}

TEST_CASE("overlay: types change, directories merge") {
  Stack stack({base_layer(), TarBuilder()
                                 .file("opt", "file now")
                                 .dir("plain")
                                 .file("plain/f", "")
                                 .dir("usr", 0700)
                                 .dir("lib")
                                 .file("lib/own", "")
                                 .dir("marked", 0755)
                                 .end()});
  stack.check_same();
  CHECK(stack.overlay_files.contains("/usr/lib/a"));
  CHECK(!stack.overlay_files.contains("/lib/a"));
}

TEST_CASE("overlay: without known lower layers every mark is kept") {
  Scratch scratch;
  std::string upper = scratch.dir("upper");
  REQUIRE(apply_to({.root = upper, .overlay = true}, TarBuilder()
                                                         .file("d/.wh.gone", "")
                                                         .dir("o")
                                                         .file("o/.wh..wh..opq", "")
                                                         .file(".wh.x", "")
                                                         .dir("x")
                                                         .end())
              .has_value());
  auto files = listing(upper);
  CHECK(files["/d/gone"].find("dev=0:0") != std::string::npos);
  CHECK(files["/o"].find("trusted.overlay.opaque=y") != std::string::npos);
  CHECK(files["/x"].find("trusted.overlay.opaque=y") != std::string::npos);

  std::string user = scratch.dir("user");
  ApplyOptions options{.root = user, .overlay = true};
  options.marks.user = true;
  auto applied = apply_to(options, TarBuilder().dir("o").file("o/.wh..wh..opq", "").end());
  if (applied) CHECK(listing(user)["/o"].find("user.overlay.opaque=y") != std::string::npos);
}
