// Computing layers: applied to what was there before, they give what is there now.
#include "native/layer/diff.h"

#include <linux/capability.h>
#include <sys/xattr.h>

#include <cstdlib>

#include "native/layer/apply.h"
#include "native/layer/testing/doctest.h"
#include "native/layer/testing/scratch.h"

using namespace davit;
using namespace davit::layer;
using namespace davit::layer::testing;

namespace {

void shell(const std::string& command) {
  CAPTURE(command);
  REQUIRE(std::system(("set -e; " + command).c_str()) == 0);
}

std::string output_of(const std::string& command) {
  FILE* pipe = popen(command.c_str(), "r");
  std::string result;
  char buffer[4096];
  for (size_t got; (got = fread(buffer, 1, sizeof buffer, pipe)) > 0;) result.append(buffer, got);
  pclose(pipe);
  return result;
}

BlobSummary write_diff(const std::string& file, const DiffOptions& options,
                       Compression compression = Compression::kNone) {
  Cancel cancel;
  Fd out(open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  auto summary = diff(std::move(out), compression, options, cancel);
  if (!summary) FAIL(summary.error().text());
  return *summary;
}

void apply_file(const std::string& file, const std::string& root) {
  Cancel cancel;
  ApplyOptions options;
  options.root = root;
  auto applied = apply(Fd(open(file.c_str(), O_RDONLY | O_CLOEXEC)), 0, -1, Compression::kDetect,
                       options, cancel);
  if (!applied) FAIL(applied.error().text());
}

// Listings without what a layer does not record: fractions of seconds, attributes.
std::map<std::string, std::string> recorded(const std::string& root) {
  auto files = listing(root);
  files.erase("");
  for (auto& [path, text] : files) {
    if (size_t at = text.find("mtime="); at != std::string::npos) {
      size_t point = text.find('.', at);
      text.replace(point, 10, "");
    }
  }
  return files;
}

const char* kBase =
    "mkdir -p d/sub gone/deep type && echo a > d/a && echo b > d/b && echo c > d/sub/c && "
    "touch gone/x gone/deep/y && ln d/a d/a2 && ln -s a d/l && echo t > type/inside && "
    "echo same > same && echo f > was-file && touch -d @1000 d/a d/b d/sub/c same was-file && "
    "touch -hd @1000 d/l";
const char* kChanges =
    "echo changed > d/b && echo new > d/sub/new && rm -r gone && rm -r type && echo file > type && "
    "rm was-file && mkdir was-file && touch was-file/in && chmod 4700 d/sub && rm d/l && "
    "ln -s elsewhere d/l && mkfifo p && mknod c c 1 3 && ln d/b b-linked && chown 9:9 same && "
    "mkdir -p $(printf 'long%.0s' $(seq 40))/$(printf 'name%.0s' $(seq 40)) && "
    "touch ünïcode && python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"sock\")'";

}  // namespace

TEST_CASE("diff: comparing trees, and applying the result") {
  Scratch scratch;
  REQUIRE(scratch.ready());
  std::string left = scratch.dir("left");
  shell("cd " + left + " && " + kBase);
  std::string right = scratch.dir("right");
  shell("cp -a " + left + "/. " + right + " && cd " + right + " && " + kChanges);
  std::string file = scratch.dir("out") + "/layer";
  std::string again = scratch.dir("again");
  shell("cp -a " + left + "/. " + again);
  write_diff(file, {.left = left, .right = right});
  apply_file(file, again);
  shell("rm " + right + "/sock");
  CHECK(recorded(again) == recorded(right));

  std::string names = output_of("tar -tf " + file);
  CHECK(names.find(".wh.gone\n") != std::string::npos);
  CHECK(names.find("gone/") == std::string::npos);
  CHECK(names.find("sock") == std::string::npos);
  CHECK(names.find("d/a\n") == std::string::npos);  // not changed
  CHECK(output_of("tar -tvf " + file + " ./b-linked b-linked 2>/dev/null").substr(0, 1) == "-");
  CHECK(output_of("tar -tvf " + file + " d/b 2>/dev/null").substr(0, 1) == "h");
}

TEST_CASE("diff: nothing before, nothing changed") {
  Scratch scratch;
  std::string tree = scratch.dir("tree");
  shell("cd " + tree + " && " + kBase);
  std::string file = scratch.dir("out") + "/layer";
  std::string copy = scratch.dir("copy");
  write_diff(file, {.right = tree});
  apply_file(file, copy);
  CHECK(recorded(copy) == recorded(tree));
  CHECK(output_of("tar -xOf " + file + " d/a 2>&1") == "a\n");

  CHECK(write_diff(file, {.left = copy, .right = copy}).size == 1024);
  shell("rm -rf " + copy + " && cp -a " + tree + " " + copy);
  CHECK(write_diff(file, {.left = copy, .right = tree}).size == 1024);
  // Same size and second, other content: only reading tells.
  shell("cd " + copy + " && printf X > d/b && truncate -s 2 d/b && touch -d @1000 d/b");
  write_diff(file, {.left = tree, .right = copy});
  CHECK(output_of("tar -tf " + file) == "d/\nd/b\n");
}

TEST_CASE("diff: one changed name of several takes the others along") {
  Scratch scratch;
  std::string left = scratch.dir("left");
  shell("cd " + left +
        " && mkdir a b && echo x > a/one && ln a/one b/two && touch -d @1000.5 a/one");
  std::string right = scratch.dir("right");
  shell("cp -a " + left + "/. " + right + " && cd " + right + " && ln a/one b/zz");
  std::string file = scratch.dir("out") + "/layer";
  write_diff(file, {.left = left, .right = right});
  CHECK(output_of("tar -tf " + file) == "b/\nb/zz\na/\na/one\nb/two\n");
  std::string again = scratch.dir("again");
  shell("cp -a " + left + "/. " + again);
  apply_file(file, again);
  CHECK(recorded(again) == recorded(right));
}

TEST_CASE("diff: compression, digests, the same bytes each time") {
  Scratch scratch;
  std::string tree = scratch.dir("tree");
  shell("cd " + tree + " && head -c 3000000 /dev/urandom > r && seq 400000 > s && " + kBase);
  std::string plain = scratch.dir("out") + "/plain";
  BlobSummary reference = write_diff(plain, {.right = tree});
  CHECK(reference.digest == reference.uncompressed_digest);
  CHECK("sha256:" + output_of("sha256sum <" + plain).substr(0, 64) == reference.digest);
  const std::pair<Compression, const char*> ways[] = {{Compression::kGzip, "gzip"},
                                                      {Compression::kZstd, "zstd"}};
  for (const auto& [compression, program] : ways) {
    CAPTURE(program);
    std::string file = plain + "." + program;
    BlobSummary summary = write_diff(file, {.right = tree}, compression);
    CHECK(summary.uncompressed_digest == reference.digest);
    CHECK(summary.uncompressed_size == reference.size);
    CHECK("sha256:" + output_of("sha256sum <" + file).substr(0, 64) == summary.digest);
    CHECK(summary.size < reference.size);
    shell(std::string(program) + " -dc <" + file + " | cmp - " + plain);
    CHECK(write_diff(file, {.right = tree}, compression).digest == summary.digest);
  }
}

TEST_CASE("diff: an epoch bounds all times") {
  Scratch scratch;
  std::string left = scratch.dir("left");
  shell("cd " + left + " && " + kBase);
  std::string right = scratch.dir("right");
  shell("cp -a " + left + "/. " + right + " && cd " + right + " && " + kChanges +
        " && rm sock && touch -d @50 old");
  std::string file = scratch.dir("out") + "/layer";
  write_diff(file, {.left = left, .right = right, .epoch = Time{1234, 5}});
  std::string times = output_of("TZ=UTC tar --full-time -tvf " + file);
  CHECK(times.find("1970-01-01 00:20:34") != std::string::npos);
  CHECK(times.find("1970-01-01 00:00:50") != std::string::npos);
  CHECK(times.find("202") == std::string::npos);
}

TEST_CASE("diff: attributes, large numbers") {
  Scratch scratch;
  std::string tree = scratch.dir("tree");
  std::string capability(
      "\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00"
      "\x00\x00\x00\x00\x00\x00\x00\x00",
      20);
  shell("cd " + tree + " && touch f big && chown 3000000000:2999999999 big && chown 0:0 f");
  setxattr((tree + "/f").c_str(), "security.capability", capability.data(), 20, 0);
  std::string file = scratch.dir("out") + "/layer";
  write_diff(file, {.right = tree});
  std::string copy = scratch.dir("copy");
  apply_file(file, copy);
  CHECK(recorded(copy) == recorded(tree));
  char value[64];
  CHECK(getxattr((copy + "/f").c_str(), "security.capability", value, sizeof value) == 20);
  std::string bare = scratch.dir("bare");
  shell("cp -p " + tree + "/big " + bare + " && touch -r " + tree + "/f " + bare + "/f");
  write_diff(file, {.left = bare, .right = tree});
  CHECK(output_of("tar -tf " + file) == "f\n");
}

TEST_CASE("diff: an overlay's upper folder, by its own marks") {
  Scratch scratch;
  std::string lower = scratch.dir("lower");
  shell("cd " + lower + " && " + kBase);
  std::string upper = scratch.dir("upper");
  std::string merged = scratch.dir("merged");
  std::string data = "lowerdir=" + lower + ",upperdir=" + upper + ",workdir=" + scratch.dir("work");
  REQUIRE(::mount("overlay", merged.c_str(), "overlay", 0, data.c_str()) == 0);
  shell("cd " + merged + " && " + kChanges +
        " && rm sock && rm -r d/sub && mkdir d/sub && touch d/sub/again");
  std::string file = scratch.dir("out") + "/layer";
  write_diff(file, {.right = upper, .overlay = true});
  std::string again = scratch.dir("again");
  shell("cp -a " + lower + "/. " + again);
  apply_file(file, again);
  auto expected = recorded(merged);
  // Comparing what is mounted gives the same tree.
  write_diff(file, {.left = lower, .right = merged});
  std::string compared = scratch.dir("compared");
  shell("cp -a " + lower + "/. " + compared);
  apply_file(file, compared);
  umount2(merged.c_str(), MNT_DETACH);
  CHECK(recorded(again) == expected);
  CHECK(recorded(compared) == expected);

  setxattr((upper + "/d").c_str(), "trusted.overlay.redirect", "/x", 2, 0);
  Cancel cancel;
  auto refused = diff(Fd(open("/dev/null", O_WRONLY)), Compression::kNone,
                      {.right = upper, .overlay = true}, cancel);
  CHECK(refused.error().code == ENOTSUP);
}

TEST_CASE("diff: failures end it") {
  Scratch scratch;
  std::string tree = scratch.dir("tree");
  shell("cd " + tree + " && head -c 20000000 /dev/zero > f");
  Cancel cancel;
  auto full = diff(Fd(open("/dev/full", O_WRONLY)), Compression::kNone, {.right = tree}, cancel);
  CHECK(full.error().code == ENOSPC);
  auto absent = diff(Fd(open("/dev/null", O_WRONLY)), Compression::kNone,
                     {.left = tree + "/none", .right = tree}, cancel);
  CHECK(absent.error().code == ENOENT);
  cancel.request();
  auto cancelled =
      diff(Fd(open("/dev/null", O_WRONLY)), Compression::kGzip, {.right = tree}, cancel);
  CHECK(cancelled.error().code == ECANCELED);
}

TEST_CASE("diff: the host's ids of a container become its own") {
  Scratch scratch;
  std::string tree = scratch.dir("tree");
  shell("cd " + tree +
        " && touch root user host && chown 100000:200000 root && chown 100033:200034 user");
  // As setcap in the user namespace leaves it: revision 3, with the host's id of its root.
  vfs_ns_cap_data caps{};
  caps.magic_etc = VFS_CAP_REVISION_3 | VFS_CAP_FLAGS_EFFECTIVE;
  caps.data[0].permitted = 1 << CAP_NET_RAW;
  caps.rootid = 100000;
  REQUIRE(setxattr((tree + "/user").c_str(), "security.capability", &caps, XATTR_CAPS_SZ_3, 0) ==
          0);
  std::string file = scratch.dir("out") + "/layer";
  DiffOptions options{.right = tree};
  options.uids = {{0, 100000, 65536}};
  options.gids = {{0, 200000, 65536}};
  write_diff(file, options);
  CHECK(output_of("tar --numeric-owner -tvf " + file + " | awk '{print $2, $6}' | sort") ==
        "0/0 host\n0/0 root\n33/34 user\n");

  std::string copy = scratch.dir("copy");
  apply_file(file, copy);
  CHECK(getxattr((copy + "/user").c_str(), "security.capability", &caps, sizeof caps) ==
        XATTR_CAPS_SZ_2);
  CHECK(caps.magic_etc == (VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE));
}
