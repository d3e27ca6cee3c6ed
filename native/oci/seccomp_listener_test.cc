// SCMP_ACT_NOTIFY with an agent that answers.
#include <fcntl.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "native/oci/testing/bundle.h"
#include "native/oci/testing/check.h"

namespace {

using namespace davit;
using testing::Bundle;
using testing::Running;

// Takes one connection, writes the state that comes with it to `log`, and lets every notified call
// succeed without it being made.
[[noreturn]] void serve(int listener, const std::string& log) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  int client = ::accept(listener, nullptr, nullptr);
  char text[4096];
  iovec part = {text, sizeof text};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t n = ::recvmsg(client, &message, MSG_CMSG_CLOEXEC);
  int fd = -1;
  std::memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
  int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (n < 0 || ::write(out, text, static_cast<std::size_t>(n)) != n) ::_exit(1);
  ::close(out);
  for (;;) {
    pollfd item = {fd, POLLIN, 0};
    if (::poll(&item, 1, -1) < 0 || (item.revents & POLLIN) == 0) ::_exit(0);
    seccomp_notif notice = {};
    if (::ioctl(fd, SECCOMP_IOCTL_NOTIF_RECV, &notice) != 0) continue;
    seccomp_notif_resp answer = {};
    answer.id = notice.id;
    (void)::ioctl(fd, SECCOMP_IOCTL_NOTIF_SEND, &answer);
  }
}

class Agent {
 public:
  explicit Agent(const Bundle& bundle) : log_(bundle.path() + "/agent.log") {
    std::string path = bundle.path() + "/agent.sock";
    ::unlink(path.c_str());
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    Fd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    CHECK(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    CHECK(::listen(listener.get(), 1) == 0);
    pid_ = ::fork();
    if (pid_ == 0) serve(listener.get(), log_);
  }
  ~Agent() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  std::string state() const { return testing::shell("cat " + log_); }

 private:
  std::string log_;
  pid_t pid_ = -1;
};

constexpr const char* kScript = "mkdir /made && echo made; ls -d /made";
constexpr const char* kOutput = "made\nls: /made: No such file or directory\n";

void notify(Bundle& bundle, const char* actions) {
  bundle.set("/linux/seccomp", R"({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": ")" +
                                   bundle.path() +
                                   R"(/agent.sock", "listenerMetadata": "for \"me\"",
                 "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_NOTIFY"}])" +
                                   actions + "}");
}

void init_with_both_kinds_of_loading() {
  Bundle bundle;
  notify(bundle, "");
  bundle.set("/annotations", R"({"a": "b"})");
  bundle.script(kScript);
  for (const char* no_new_privileges : {"true", "false"}) {
    bundle.set("/process/noNewPrivileges", no_new_privileges);
    if (*no_new_privileges == 'f')
      for (const char* set : {"bounding", "effective", "permitted"})
        bundle.set(("/process/capabilities/" + std::string(set) + "/-").c_str(),
                   "\"CAP_SYS_ADMIN\"");
    Agent agent(bundle);
    auto outcome = testing::run(bundle);
    CHECK_EQUAL(outcome.error + outcome.output, kOutput);
    std::string state = agent.state();
    CHECK_CONTAINS(state, R"({"ociVersion":"1.1.0","fds":["seccompFd"],"pid":)");
    CHECK_CONTAINS(state, R"("metadata":"for \"me\"","state":{"ociVersion":"1.1.0","id":")" +
                              bundle.id() + R"(","status":"creat)");
    CHECK_CONTAINS(state, R"("annotations":{"a":"b"})");
  }
}

void exec_has_a_listener_of_its_own() {
  Bundle bundle;
  notify(bundle, "");
  bundle.script("sleep 1000");
  Agent first(bundle);
  Running running(bundle);
  CHECK_EQUAL(running.error(), "");
  if (!running.ok()) return;
  Agent second(bundle);
  auto outcome = running.exec(bundle.process(kScript));
  CHECK_EQUAL(outcome.error + outcome.output, kOutput);
  CHECK_CONTAINS(second.state(), R"("status":"running")");
}

void nobody_listens() {
  Bundle bundle;
  notify(bundle, "");
  bundle.script(kScript);
  CHECK_CONTAINS(testing::run(bundle).error, "/agent.sock\": no such file or directory");
}

}  // namespace

int main() {
  if (!testing::can_run_containers()) return testing::kSkipped;
  init_with_both_kinds_of_loading();
  exec_has_a_listener_of_its_own();
  nobody_listens();
  testing::check_leftovers();
  return testing::result();
}
