// The long-lived shim: one loop, one listening socket on descriptor 3, the children's exits.
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>

#include "native/kernel/sealed_self.h"
#include "shim/action/actions.h"
#include "shim/log.h"
#include "shim/loop/loop.h"
#include "shim/rpc/publisher.h"
#include "shim/rpc/server.h"
#include "shim/task/service.h"

namespace davit::shim {

namespace {

constexpr int kListener = 3;

// Fails when descriptor 3 is no listening socket.
Result<> adopt_listener() {
  int listening = 0;
  socklen_t size = sizeof listening;
  if (::getsockopt(kListener, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) != 0 ||
      listening == 0 || ::fcntl(kListener, F_SETFD, FD_CLOEXEC) != 0) {
    return fail(0, "descriptor 3 is not a listening socket: a shim is started by `start`");
  }
  return {};
}

Result<Fd> open_signals() {
  sigset_t handled;
  ::sigemptyset(&handled);
  for (const int signal : {SIGCHLD, SIGTERM, SIGINT}) ::sigaddset(&handled, signal);
  // Blocked and left pending: a write to a closed pipe is an errno here, and a signal by which
  // other shims dump their state must not end this one.
  sigset_t blocked = handled;
  for (const int signal : {SIGPIPE, SIGHUP, SIGUSR1, SIGUSR2}) ::sigaddset(&blocked, signal);
  if (::sigprocmask(SIG_BLOCK, &blocked, nullptr) != 0) return fail_errno("sigprocmask");
  Fd fd(::signalfd(-1, &handled, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) return fail_errno("signalfd");
  return fd;
}

std::string events_address(const Args& args) {
  const char* address = std::getenv("TTRPC_ADDRESS");
  if (address != nullptr && *address != '\0') return address;
  return args.address.empty() ? "" : args.address + ".ttrpc";
}

// Memory goes back to the kernel early: a shim works for milliseconds and then idles for days.
void tune_memory() {
  ::mallopt(M_TOP_PAD, 16 * 1024);
  ::mallopt(M_TRIM_THRESHOLD, 32 * 1024);
  ::mallopt(M_MMAP_THRESHOLD, 64 * 1024);
}

Result<> serve(const Args& args) {
  DAVIT_TRY(adopt_listener());
  ::prctl(PR_SET_NAME, "containerd-shim");
  if (::prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) return fail_errno("become subreaper");
  DAVIT_ASSIGN(const Fd signals, open_signals());
  Loop loop;
  DAVIT_TRY(loop.open());
  Publisher events(loop, events_address(args), args.namespace_);
  Server server;
  Service service(loop, server, events, args.namespace_);
  Watch signal_watch;
  DAVIT_TRY(signal_watch.start(loop, signals.get(), EPOLLIN, [&](uint32_t) {
    signalfd_siginfo info;
    while (::read(signals.get(), &info, sizeof info) == sizeof info) {
      // A shim with a container ends by Shutdown only: a service manager's stop is not for it.
      if (info.ssi_signo != SIGCHLD && service.idle()) loop.quit();
    }
    service.reap();
  }));
  DAVIT_TRY(server.open(
      loop, Fd(kListener),
      [&](const Call& call, const ttrpc::Request& request) { service.handle(call, request); },
      [&] { events.daemon_seen(); }));
  const auto ran = loop.run();
  server.stop_accepting();
  return ran;
}

}  // namespace

int serve_action(const Args& args, char** argv) {
  log_as(args.namespace_, args.id);
  if (auto sealed = kernel::run_sealed(argv); !sealed) {
    log(sealed.error().text());
    return 1;
  }
  tune_memory();
  if (auto served = serve(args); !served) {
    log(served.error().text());
    return 1;
  }
  return 0;
}

}  // namespace davit::shim
