#include "native/oci/terminal.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>
#include <termios.h>
#include <unistd.h>

#include "native/kernel/in_root.h"

namespace davit::oci {

Result<Terminal> open_terminal(int root, std::uint16_t rows, std::uint16_t columns) {
  Terminal terminal;
  DAVIT_ASSIGN(terminal.master,
               kernel::open_in_root_nofollow(root, "/dev/pts/ptmx", O_RDWR | O_NOCTTY));
  struct statfs fs;
  if (::fstatfs(terminal.master.get(), &fs) != 0) return fail_errno("stat \"/dev/pts/ptmx\"");
  if (fs.f_type != DEVPTS_SUPER_MAGIC)
    return fail(0, "\"/dev/pts\" in the container is not a devpts file system");
  int unlock = 0;
  if (::ioctl(terminal.master.get(), TIOCSPTLCK, &unlock) != 0)
    return fail_errno("unlock the terminal");
  // The slave by its master, never by a path.
  terminal.slave = Fd(::ioctl(terminal.master.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!terminal.slave) return fail_errno("open the terminal");
  if (rows != 0 && columns != 0) {
    winsize size{rows, columns, 0, 0};
    if (::ioctl(terminal.master.get(), TIOCSWINSZ, &size) != 0)
      return fail_errno("set the size of the terminal");
  }
  return terminal;
}

Result<> use_terminal(int slave) {
  if (::ioctl(slave, TIOCSCTTY, 0) != 0) return fail_errno("take the controlling terminal");
  for (int fd : {0, 1, 2})
    if (::dup2(slave, fd) < 0) return fail_errno("use the terminal");
  return {};
}

}  // namespace davit::oci
