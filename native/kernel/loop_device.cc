#include "native/kernel/loop_device.h"

#include <fcntl.h>
#include <linux/loop.h>
#include <sys/ioctl.h>

#include <cstdint>

namespace davit::loop_device {
namespace {

// Between asking for a free device and taking it another process may be faster.
constexpr int kAttempts = 64;

}  // namespace

Result<Attached> attach(const std::string& file, bool read_only) {
  int mode = read_only ? O_RDONLY : O_RDWR;
  Fd backing(open(file.c_str(), mode | O_CLOEXEC | O_NONBLOCK));
  if (!backing) return fail_errno("open loop file \"" + file + "\"");
  Fd control(open("/dev/loop-control", O_RDWR | O_CLOEXEC));
  if (!control) return fail_errno("open \"/dev/loop-control\"");

  for (int attempt = 0; attempt < kAttempts; attempt++) {
    int number = ioctl(control.get(), LOOP_CTL_GET_FREE);
    if (number < 0) return fail_errno("find a free loop device");
    std::string path = "/dev/loop" + std::to_string(number);
    Fd device(open(path.c_str(), mode | O_CLOEXEC));
    if (!device) return fail_errno("open \"" + path + "\"");

    loop_config config{};
    config.fd = static_cast<uint32_t>(backing.get());
    config.info.lo_flags = LO_FLAGS_AUTOCLEAR | (read_only ? LO_FLAGS_READ_ONLY : 0);
    if (ioctl(device.get(), LOOP_CONFIGURE, &config) == 0) {
      return Attached{std::move(path), std::move(device)};
    }
    if (errno != EBUSY) return fail_errno("attach \"" + file + "\" to \"" + path + "\"");
  }
  return fail(EBUSY, "attach \"" + file + "\": every free loop device was taken by others");
}

}  // namespace davit::loop_device
