#include "native/kernel/loop_device.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <string_view>

namespace davit::loop_device {
namespace {

// Between asking for a free device and taking it another process may be faster.
constexpr int kAttempts = 64;

Result<Attached> attach_with(const std::string& file, bool read_only, uint32_t flags,
                             std::string_view mark) {
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
    config.info.lo_flags = flags | (read_only ? LO_FLAGS_READ_ONLY : 0);
    mark.copy(reinterpret_cast<char*>(config.info.lo_file_name), mark.size());
    if (ioctl(device.get(), LOOP_CONFIGURE, &config) == 0) {
      return Attached{std::move(path), std::move(device)};
    }
    if (errno != EBUSY) return fail_errno("attach \"" + file + "\" to \"" + path + "\"");
  }
  return fail(EBUSY, "attach \"" + file + "\": every free loop device was taken by others");
}

std::string_view tail(std::string_view mark) {
  return mark.substr(mark.size() - std::min(mark.size(), size_t{LO_NAME_SIZE - 1}));
}

}  // namespace

Result<Attached> attach(const std::string& file, bool read_only) {
  return attach_with(file, read_only, LO_FLAGS_AUTOCLEAR, "");
}

Result<> attach_at(const std::string& file, bool read_only, const std::string& link) {
  // The device carries the end of the link's path, by which detach_at() knows it again.
  DAVIT_ASSIGN(Attached attached, attach_with(file, read_only, LO_FLAGS_AUTOCLEAR, tail(link)));
  if (symlink(attached.path.c_str(), link.c_str()) < 0) return fail_errno("link \"" + link + "\"");
  loop_info64 info{};
  if (ioctl(attached.fd.get(), LOOP_GET_STATUS64, &info) == 0) {
    info.lo_flags &= ~static_cast<uint32_t>(LO_FLAGS_AUTOCLEAR);
    if (ioctl(attached.fd.get(), LOOP_SET_STATUS64, &info) == 0) return {};
  }
  int code = errno;
  unlink(link.c_str());
  return fail(code, "keep \"" + attached.path + "\"");
}

Result<> detach_at(const std::string& link) {
  std::string device(PATH_MAX, '\0');
  ssize_t length = readlink(link.c_str(), device.data(), device.size());
  if (length < 0 && errno == ENOENT) return {};
  if (length < 0) return fail_errno("read link \"" + link + "\"");
  device.resize(static_cast<size_t>(length));
  Fd fd(open(device.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd && errno != ENOENT && errno != ENXIO) return fail_errno("open \"" + device + "\"");
  loop_info64 info{};
  if (fd && ioctl(fd.get(), LOOP_GET_STATUS64, &info) == 0) {
    info.lo_file_name[LO_NAME_SIZE - 1] = 0;
    bool ours = tail(link) == reinterpret_cast<const char*>(info.lo_file_name);
    if (ours && ioctl(fd.get(), LOOP_CLR_FD, 0) < 0 && errno != ENXIO) {
      return fail_errno("detach \"" + device + "\"");
    }
  }
  if (unlink(link.c_str()) < 0 && errno != ENOENT) return fail_errno("remove \"" + link + "\"");
  return {};
}

}  // namespace davit::loop_device
