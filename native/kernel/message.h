// Short datagrams between a parent and its child over a socketpair, with descriptors if need be.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "native/kernel/fd.h"
#include "native/kernel/result.h"

namespace davit::kernel {

// SOCK_SEQPACKET: message borders are kept, and the last close is seen as the end.
Result<std::pair<Fd, Fd>> message_pair();

inline constexpr std::size_t kMaxMessage = 128 << 10, kMaxDescriptors = 32;  // more is EMSGSIZE

Result<> send_message(int socket, char kind, std::string_view text = {},
                      std::span<const int> descriptors = {});

struct Message {
  char kind = 0;  // 0: the other side has closed
  std::string text;
  std::vector<Fd> descriptors;
};
// ETIMEDOUT after `timeout_ms`; -1 waits for ever.
Result<Message> receive_message(int socket, int timeout_ms);

}  // namespace davit::kernel
