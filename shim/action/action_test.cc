// Arguments, standard input, socket names and sockets.
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <vector>

#include "shim/action/args.h"
#include "shim/action/input.h"
#include "shim/action/sha256.h"
#include "shim/action/socket.h"
#include "shim/testing/check.h"

using namespace davit;
using namespace davit::shim;

namespace {

Result<Args> parse(std::vector<const char*> words) {
  words.insert(words.begin(), "shim");
  return parse_args(static_cast<int>(words.size()), const_cast<char**>(words.data()));
}

void test_args() {
  const auto args = parse({"-namespace", "ns", "--id=c1", "-address=/run/x.sock", "-debug",
                           "-publish-binary", "", "-bundle", "/b", "start"});
  CHECK(args.has_value());
  CHECK(args->namespace_ == "ns" && args->id == "c1" && args->address == "/run/x.sock");
  CHECK(args->debug && args->publish_binary.empty() && args->bundle == "/b");
  CHECK(args->action == "start");
  CHECK(parse({"-v"})->version);
  CHECK(!parse({"-debug=false", "start"})->debug);
  CHECK(parse({"-id", "-weird", "delete"})->id == "-weird");
  CHECK(parse({"--", "start"})->action == "start");
  CHECK(!parse({"-unknown", "x"}));
  CHECK(!parse({"-id"}));
  CHECK(!parse({"-debug=perhaps"}));
}

void test_sha256() {
  CHECK(sha256_hex("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(sha256_hex("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(sha256_hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

void test_input() {
  int ends[2];
  CHECK(pipe(ends) == 0);
  CHECK(write(ends[1], "hello", 5) == 5);
  // Nobody closes the pipe: what is there is taken all the same.
  CHECK(*read_input(ends[0]) == "hello");
  close(ends[1]);
  CHECK(read_input(ends[0])->empty());
  close(ends[0]);
  const Fd zero(open("/dev/zero", O_RDONLY));
  CHECK(!read_input(zero.get()));
}

void test_socket() {
  char pattern[] = "/tmp/davit-socket-XXXXXX";
  const std::string root = mkdtemp(pattern);
  CHECK(socket_path("/run/containerd/s", "/a", "ns", "x").value() !=
        socket_path("/run/containerd/s", "/a", "ns", "y").value());
  const auto too_long = socket_path(std::string(50, 'd'), "/a", "ns", "x");
  CHECK(!too_long && too_long.error().message.find("the limit is 106") != std::string::npos);

  const std::string path = *socket_path(root + "/deep/s", "/a", "ns", "x");
  auto first = listen_at(path);
  CHECK(first && first->fd && !first->already);
  struct stat st{};
  CHECK(stat(path.c_str(), &st) == 0 && (st.st_mode & 0777) == 0600);
  CHECK(stat((root + "/deep/s").c_str(), &st) == 0 && (st.st_mode & 0777) == 0700);
  const auto second = listen_at(path);
  CHECK(second && second->already && !second->fd);
  first->fd.reset();
  const auto third = listen_at(path);  // a dead socket makes room
  CHECK(third && third->fd && !third->already);
  CHECK(system(("rm -r " + root).c_str()) == 0);
}

}  // namespace

int main() {
  test_args();
  test_sha256();
  test_input();
  test_socket();
  return testing::result();
}
