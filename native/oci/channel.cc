#include "native/oci/channel.h"

#include <cstdlib>

namespace davit::oci {

Result<> say_failed(int channel, const Error& error) {
  return kernel::send_message(channel, kFailed, std::to_string(error.code) + "\n" + error.message);
}

Error heard_failure(const std::string& text) {
  std::size_t newline = text.find('\n');
  if (newline == std::string::npos) return {EPROTO, text};
  return {std::atoi(text.c_str()), text.substr(newline + 1)};
}

Result<> wait_for(int channel, Say kind) {
  DAVIT_ASSIGN(kernel::Message message, kernel::receive_message(channel, -1));
  if (message.kind == kind) return {};
  return fail(ECANCELED, "the runtime gave up");
}

}  // namespace davit::oci
