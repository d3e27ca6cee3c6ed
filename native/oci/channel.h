// What the executor and the process that becomes the container's say to each other. One message per
// datagram; the channel closes when execve succeeds, since its end is close-on-exec.
//
//   parent -> child   maps      the id maps of the user namespace are written
//                     joined    the child is in its cgroup
//                     hooked    the runtime's hooks have run
//                     start     execute the program
//   child -> parent   hooks     run the runtime's hooks now
//                     console   the terminal's master comes along
//                     warning   text: what could not be done but does not matter enough
//                     ready     init is complete and waits for `start`
//                     failed    text: errno, a newline, the message
#pragma once

#include <string>
#include <vector>

#include "native/kernel/message.h"
#include "native/kernel/result.h"

namespace davit::oci {

enum Say : char {
  kMaps = 'm',
  kJoined = 'j',
  kHooked = 'h',
  kStart = 's',
  kHooks = 'H',
  kConsole = 'c',
  kWarning = 'w',
  kReady = 'r',
  kFailed = 'e',
};

Result<> say_failed(int channel, const Error& error);
Error heard_failure(const std::string& text);

// The child's side: waits for `kind`; anything else, and the end of the channel, is ECANCELED.
Result<> wait_for(int channel, Say kind);

// The parent's side: takes console and warnings, runs `on_hooks` when asked, and returns when the
// child said `until` or, for 0, when it closed the channel. A failure that it said is returned.
struct Heard {
  Fd console;
  std::vector<std::string> warnings;
};
template <typename OnHooks>
Result<> listen(int channel, char until, int timeout_ms, Heard& heard, const OnHooks& on_hooks) {
  for (;;) {
    DAVIT_ASSIGN(kernel::Message message, kernel::receive_message(channel, timeout_ms));
    if (message.kind == until) return {};
    switch (message.kind) {
      case kConsole:
        heard.console = std::move(message.fd);
        break;
      case kWarning:
        heard.warnings.push_back(std::move(message.text));
        break;
      case kHooks:
        DAVIT_TRY(on_hooks());
        DAVIT_TRY(kernel::send_message(channel, kHooked));
        break;
      case kFailed:
        return std::unexpected(heard_failure(message.text));
      case 0:
        return fail(ECHILD, "the process ended before it was set up");
      default:
        return fail(EPROTO, "unexpected message from the process");
    }
  }
}

}  // namespace davit::oci
