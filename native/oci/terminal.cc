#include "native/oci/terminal.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "native/kernel/in_root.h"

namespace davit::oci {

Result<Terminal> open_terminal(int root, const ProcessSpec& process) {
  Terminal terminal;
  auto master = kernel::open_in_root(root, "/dev/pts/ptmx", O_RDWR | O_NOCTTY);
  if (!master) return wrap("terminal", std::move(master).error());
  terminal.master = std::move(*master);
  struct statfs fs;
  if (::fstatfs(terminal.master.get(), &fs) != 0 || fs.f_type != DEVPTS_SUPER_MAGIC)
    return fail(ENOTTY, "terminal: \"/dev/pts\" is not a devpts");
  int locked = 0;
  if (::ioctl(terminal.master.get(), TIOCSPTLCK, &locked) != 0)
    return fail_errno("unlock the terminal");
  // The slave comes from the master itself: a path could be somebody else's.
  terminal.slave.reset(::ioctl(terminal.master.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!terminal.slave) return fail_errno("open the terminal's slave");
  if (process.console_rows != 0 && process.console_columns != 0) {
    struct winsize size = {process.console_rows, process.console_columns, 0, 0};
    if (::ioctl(terminal.master.get(), TIOCSWINSZ, &size) != 0)
      return fail_errno("set the terminal's size");
  }
  if (::fchown(terminal.slave.get(), process.user.uid, static_cast<gid_t>(-1)) != 0)
    return fail_errno("give the terminal to its user");
  return terminal;
}

Result<> use_terminal(int slave) {
  if (::ioctl(slave, TIOCSCTTY, 0) != 0) return fail_errno("take the terminal");
  for (int fd = 0; fd < 3; ++fd)
    if (::dup2(slave, fd) < 0) return fail_errno("use the terminal");
  return {};
}

}  // namespace davit::oci
