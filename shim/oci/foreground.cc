#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "shim/oci/launch.h"

namespace davit::oci_cli {
namespace {

// Our terminal in raw mode, until this goes.
class RawTerminal {
 public:
  RawTerminal() {
    if (::tcgetattr(STDIN_FILENO, &before_) != 0) return;
    struct termios raw = before_;
    ::cfmakeraw(&raw);
    set_ = ::tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
  }
  ~RawTerminal() {
    if (set_) ::tcsetattr(STDIN_FILENO, TCSANOW, &before_);
  }
  RawTerminal(const RawTerminal&) = delete;
  RawTerminal& operator=(const RawTerminal&) = delete;

 private:
  struct termios before_ = {};
  bool set_ = false;
};

// One direction: reads when there is room, writes when the other side takes it.
struct Stream {
  int from, to;
  char bytes[4096];  // at most what a pipe that polls writable takes without blocking
  std::size_t begin = 0, end = 0;
  bool ended = false;

  bool wants_read() const { return !ended && begin == end; }
  bool wants_write() const { return begin != end; }

  void read_some() {
    ssize_t got = ::read(from, bytes, sizeof bytes);
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) return;
    begin = 0;
    end = got > 0 ? static_cast<std::size_t>(got) : 0;
    ended = got <= 0;  // EIO: nobody has the terminal open any more
  }
  void write_some() {
    ssize_t put = ::write(to, bytes + begin, end - begin);
    if (put < 0 && (errno == EINTR || errno == EAGAIN)) return;
    if (put < 0) {
      begin = end;
      ended = true;
    } else {
      begin += static_cast<std::size_t>(put);
    }
  }
};

void copy_size(int master) {
  struct winsize size;
  if (::ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0) ::ioctl(master, TIOCSWINSZ, &size);
}

int code_of(int status) {
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace

Foreground::Foreground(bool subreaper) {
  sigset_t all;
  ::sigfillset(&all);
  // Faults of our own, and what a write to a closed pipe says by its error.
  for (int own : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP}) ::sigdelset(&all, own);
  ::sigprocmask(SIG_BLOCK, &all, nullptr);
  signals_.reset(::signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK));
  if (subreaper) ::prctl(PR_SET_CHILD_SUBREAPER, 1);
}

Foreground::~Foreground() {
  sigset_t all;
  ::sigfillset(&all);
  ::sigprocmask(SIG_UNBLOCK, &all, nullptr);
}

Result<bool> Foreground::on_signals(pid_t pid, int master, int& status) {
  struct signalfd_siginfo info;
  while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
    int signal = static_cast<int>(info.ssi_signo);
    if (signal == SIGCHLD || signal == SIGPIPE) continue;
    if (signal == SIGWINCH && master >= 0)
      copy_size(master);
    else
      ::kill(pid, signal);  // our child, not yet reaped: the number is still its own
  }
  for (int one;;) {
    pid_t ended = ::waitpid(-1, &one, WNOHANG);
    if (ended <= 0) return false;
    if (ended == pid) {
      status = one;
      return true;
    }
  }
}

Result<int> Foreground::attend(pid_t pid, Fd master) {
  if (!signals_) return fail(0, "no descriptor for signals");
  if (master) copy_size(master.get());
  std::optional<RawTerminal> raw;
  if (master) raw.emplace();
  Stream in{STDIN_FILENO, master.get(), {}}, out{master.get(), STDOUT_FILENO, {}};
  in.ended = out.ended = !master;
  int status = 0;
  bool gone = false;
  // A child may have ended before its signal was looked for.
  DAVIT_ASSIGN(gone, on_signals(pid, master.get(), status));
  while (!gone || out.wants_write() || !out.ended) {
    struct pollfd items[5] = {{gone ? -1 : signals_.get(), POLLIN, 0},
                              {!gone && in.wants_read() ? in.from : -1, POLLIN, 0},
                              {!gone && in.wants_write() ? in.to : -1, POLLOUT, 0},
                              {out.wants_read() ? out.from : -1, POLLIN, 0},
                              {out.wants_write() ? out.to : -1, POLLOUT, 0}};
    // What it wrote before its end is still in the terminal; others may keep that open for ever.
    constexpr int kLastWordsMs = 100;
    int n = ::poll(items, 5, gone ? kLastWordsMs : -1);
    if (n < 0 && errno != EINTR) return fail_errno("poll");
    if (n == 0) break;
    if (n < 0) continue;
    if (items[1].revents != 0) in.read_some();
    if (items[2].revents != 0) in.write_some();
    if (items[3].revents != 0) out.read_some();
    if (items[4].revents != 0) out.write_some();
    if (items[0].revents != 0) {
      DAVIT_ASSIGN(gone, on_signals(pid, master.get(), status));
    }
  }
  return code_of(status);
}

}  // namespace davit::oci_cli
