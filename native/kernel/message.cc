#include "native/kernel/message.h"

#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <algorithm>

#include "native/kernel/wait.h"

namespace davit::kernel {
namespace {

long now_ms() {
  struct timespec now;
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1'000'000;
}

Result<> wait_readable(int socket, int timeout_ms) {
  const long end = now_ms() + timeout_ms;
  for (;;) {
    struct pollfd item = {socket, POLLIN, 0};
    const int left = timeout_ms < 0 ? -1 : static_cast<int>(std::max(0L, end - now_ms()));
    int n = wait_for(&item, 1, left);
    if (n > 0) return {};
    if (n == 0) return fail(ETIMEDOUT, "wait for child");
    if (errno != EINTR) return fail_errno("poll");
  }
}

}  // namespace

Result<std::pair<Fd, Fd>> message_pair() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
    return fail_errno("socketpair");
  return std::pair(Fd(ends[0]), Fd(ends[1]));
}

Result<> send_message(int socket, char kind, std::string_view text,
                      std::span<const int> descriptors) {
  if (text.size() >= kMaxMessage || descriptors.size() > kMaxDescriptors)
    return fail(EMSGSIZE, "send message");
  struct iovec parts[2] = {
      {&kind, 1},
      {const_cast<char*>(text.data()), text.size()},
  };
  alignas(struct cmsghdr) char control[CMSG_SPACE(kMaxDescriptors * sizeof(int))] = {};
  struct msghdr message = {};
  message.msg_iov = parts;
  message.msg_iovlen = 2;
  if (!descriptors.empty()) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
    struct cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(descriptors.size_bytes());
    ::memcpy(CMSG_DATA(header), descriptors.data(), descriptors.size_bytes());
  }
  while (::sendmsg(socket, &message, MSG_NOSIGNAL) < 0) {
    if (errno != EINTR) return fail_errno("send message");
  }
  return {};
}

Result<Message> receive_message(int socket, int timeout_ms) {
  DAVIT_TRY(wait_readable(socket, timeout_ms));
  // Its length first: most are a few bytes, but a state with annotations may be many.
  ssize_t size;
  do {
    size = ::recv(socket, nullptr, 0, MSG_PEEK | MSG_TRUNC);
  } while (size < 0 && errno == EINTR);
  std::string data(size > 0 ? static_cast<std::size_t>(size) : 1, '\0');
  struct iovec part = {data.data(), data.size()};
  alignas(struct cmsghdr) char control[CMSG_SPACE(kMaxDescriptors * sizeof(int))] = {};
  struct msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t n;
  do {
    n = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  } while (n < 0 && errno == EINTR);
  if (n < 0 && errno != ECONNRESET) return fail_errno("receive message");
  Message received;
  if (n <= 0) return received;
  received.kind = data[0];
  received.text.assign(data, 1, static_cast<std::size_t>(n) - 1);
  struct cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (header == nullptr || header->cmsg_type != SCM_RIGHTS) return received;
  const unsigned char* end = CMSG_DATA(header) + (header->cmsg_len - CMSG_LEN(0));
  for (const unsigned char* at = CMSG_DATA(header); at != end; at += sizeof(int)) {
    int fd;
    ::memcpy(&fd, at, sizeof fd);
    received.descriptors.emplace_back(fd);
  }
  return received;
}

}  // namespace davit::kernel
