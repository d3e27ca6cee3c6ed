// Removing, copying and measuring trees.
#include <cstdlib>

#include "native/layer/copy_tree.h"
#include "native/layer/remove.h"
#include "native/layer/testing/doctest.h"
#include "native/layer/testing/scratch.h"
#include "native/layer/usage.h"

using namespace davit;
using namespace davit::layer;
using namespace davit::layer::testing;

namespace {

void shell(const std::string& command) {
  REQUIRE(std::system(command.c_str()) == 0);
}

Fd open_dir(const std::string& path) {
  return Fd(open(path.c_str(), O_RDONLY | O_DIRECTORY));
}

// A chain of directories far longer than a path may be.
void make_chain(const std::string& root, int depth) {
  Fd at = open_dir(root);
  for (int i = 0; i < depth; i++) {
    REQUIRE(mkdirat(at.get(), "deep-directory", 0755) == 0);
    Fd file(openat(at.get(), "file", O_CREAT | O_WRONLY, 0644));
    at = Fd(openat(at.get(), "deep-directory", O_RDONLY | O_DIRECTORY));
  }
}

}  // namespace

TEST_CASE("remove: everything, and nothing through links") {
  Scratch scratch;
  Cancel cancel;
  std::string root = scratch.dir("root");
  std::string outside = scratch.dir("outside");
  shell("cd " + root + " && mkdir -p t/a/b t/c && touch t/a/f t/a/b/g && ln -s " + outside +
        " t/a/l && mkfifo t/p && touch " + outside + "/kept");
  make_chain(root + "/t/c", 2000);
  Fd parent = open_dir(root);
  REQUIRE(remove_tree(parent.get(), "t", root, cancel).has_value());
  CHECK(listing(root).size() == 1);
  CHECK(access((outside + "/kept").c_str(), F_OK) == 0);
  CHECK(remove_tree(parent.get(), "t", root, cancel).has_value());
}

TEST_CASE("remove: a mount below stops it and keeps its files") {
  Scratch scratch;
  Cancel cancel;
  std::string root = scratch.dir("root");
  shell("mkdir -p " + root + "/t/a/mounted && mount -t tmpfs tmpfs " + root +
        "/t/a/mounted && touch " + root + "/t/a/mounted/kept");
  Fd parent = open_dir(root);
  Result<> removed = remove_tree(parent.get(), "t", root, cancel);
  CHECK(removed.error().code == EBUSY);
  CHECK(removed.error().message.find("t/a/mounted") != std::string::npos);
  CHECK(access((root + "/t/a/mounted/kept").c_str(), F_OK) == 0);
  shell("umount " + root + "/t/a/mounted");
  CHECK(remove_tree(parent.get(), "t", root, cancel).has_value());
}

TEST_CASE("copy: as it is, with links, holes, attributes and times") {
  Scratch scratch;
  Cancel cancel;
  std::string from = scratch.dir("from");
  std::string to = scratch.dir("to");
  shell("cd " + from +
        " && mkdir -p a/b && echo x > a/f && ln a/f a/b/h && ln -s nowhere a/l && mkfifo a/p && "
        "mknod a/c c 1 3 && chown 5:6 a/f && chmod 4755 a/f && truncate -s 8M a/sparse && "
        "echo end >> a/sparse && touch -h -d @77.5 a/l && touch -d @88.25 a/b && chmod 0700 . && "
        "touch -d @99 .");
  setxattr((from + "/a/b").c_str(), "trusted.note", "hello", 5, 0);
  Result<> copied = copy_tree(from, to, cancel);
  if (!copied) FAIL(copied.error().text());
  CHECK(listing(to, true) == listing(from, true));
  struct stat info;
  REQUIRE(stat((to + "/a/sparse").c_str(), &info) == 0);
  CHECK(info.st_size == (8 << 20) + 4);
  CHECK(info.st_blocks < 100);
}

TEST_CASE("usage: blocks and inodes, links once") {
  Scratch scratch;
  Cancel cancel;
  std::string root = scratch.dir("root");
  shell("cd " + root + " && mkdir d && head -c 10000 /dev/zero > d/f && ln d/f d/g && ln -s d l");
  auto usage = disk_usage(root, cancel);
  REQUIRE(usage.has_value());
  CHECK(usage->inodes == 4);
  FILE* du = popen(("du -s -B1 " + root).c_str(), "r");
  long long expected = 0;
  REQUIRE(fscanf(du, "%lld", &expected) == 1);
  pclose(du);
  CHECK(usage->bytes == expected);

  make_chain(root + "/d", 1500);
  CHECK(disk_usage(root, cancel)->inodes == 4 + 3000);
  CHECK(disk_usage(root + "/absent", cancel)->inodes == 0);
}
