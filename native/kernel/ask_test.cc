// Real sockets: one that answers in pieces, one that is silent, one that hangs up, one that is not
// there.
#include "native/kernel/ask.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "native/kernel/fd.h"

namespace {

int failures = 0;

#define CHECK(condition)                                                   \
  do {                                                                     \
    if (!(condition)) {                                                    \
      std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
      failures++;                                                          \
    }                                                                      \
  } while (0)

davit::Fd listen_at(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
  if (path.starts_with('@')) address.sun_path[0] = '\0';
  davit::Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
  CHECK(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), length) == 0);
  CHECK(::listen(socket.get(), 8) == 0);
  return socket;
}

std::string frame(const std::string& payload) {
  std::string header(10, '\0');
  header[2] = static_cast<char>(payload.size() >> 8);
  header[3] = static_cast<char>(payload.size());
  return header + payload;
}

// Takes one connection and the question, and writes `parts` one after the other.
std::thread serve(const davit::Fd& listener, std::vector<std::string> parts) {
  return std::thread([fd = listener.get(), parts = std::move(parts)] {
    davit::Fd peer(::accept(fd, nullptr, nullptr));
    char question[64];
    CHECK(::read(peer.get(), question, sizeof(question)) == 13);
    for (const auto& part : parts) {
      CHECK(::write(peer.get(), part.data(), part.size()) == static_cast<ssize_t>(part.size()));
      ::usleep(20'000);
    }
  });
}

}  // namespace

int main() {
  char folder[] = "/tmp/ask-XXXXXX";
  CHECK(::mkdtemp(folder) != nullptr);
  auto at = [&](const char* name) { return std::string(folder) + "/" + name; };
  davit::Fd good = listen_at(at("good")), silent = listen_at(at("silent"));
  std::string abstract = "@davit-ask-test-" + std::to_string(::getpid());
  davit::Fd hidden = listen_at(abstract);
  davit::Fd rude = listen_at(at("rude")), huge = listen_at(at("huge"));
  {
    davit::Fd dead = listen_at(at("dead"));
  }
  std::string whole = frame(std::string(300, 'x'));
  std::thread threads[] = {
      serve(hidden, {frame("hi")}),
      serve(good, {whole.substr(0, 4), whole.substr(4, 100), whole.substr(104)}),
      serve(rude, {"12345"}), serve(huge, {std::string(10, '\x7f')})};
  std::vector<davit::ask::Question> questions;
  for (const char* name : {"good", "silent", "rude", "huge", "dead", "absent"}) {
    questions.push_back({at(name), frame("abc")});
  }
  questions.push_back({std::string(200, 'p'), "x"});
  questions.push_back({abstract, frame("abc")});
  auto answers = davit::ask::all(questions, 300, [] { return false; });
  for (auto& thread : threads) thread.join();
  CHECK(answers.size() == questions.size());
  CHECK(answers[0].error == 0 && answers[0].payload == std::string(300, 'x'));
  const int expected[] = {0, ETIMEDOUT, ECONNRESET, EMSGSIZE, ECONNREFUSED, ENOENT, ENAMETOOLONG};
  CHECK(answers.back().error == 0 && answers.back().payload == "hi");
  for (size_t i = 1; i < std::size(expected); i++) CHECK(answers[i].error == expected[i]);

  auto stopped = davit::ask::all({{at("silent"), frame("abc")}}, 60'000, [] { return true; });
  CHECK(stopped[0].error == ECANCELED);
  CHECK(davit::ask::all({}, 1000, [] { return false; }).empty());

  for (const char* name : {"good", "silent", "rude", "huge", "dead"}) ::unlink(at(name).c_str());
  ::rmdir(folder);
  if (failures == 0) std::puts("ok");
  return failures == 0 ? 0 : 1;
}
