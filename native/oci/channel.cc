#include "native/oci/channel.h"

#include <stdlib.h>

namespace davit::oci {

Error failure_of(const std::string& text) {
  char* end = nullptr;
  long code = ::strtol(text.c_str(), &end, 10);
  return {static_cast<int>(code), *end == ' ' ? end + 1 : end};
}

std::string failure_text(const Error& error) {
  return std::to_string(error.code) + ' ' + error.message;
}

Result<std::string> ask(int socket, Word word) {
  DAVIT_TRY(kernel::send_message(socket, word));
  DAVIT_ASSIGN(kernel::Message answer, kernel::receive_message(socket, -1));
  if (answer.kind != kGo) return fail(ECANCELED, "the creator has gone");
  return std::move(answer.text);
}

}  // namespace davit::oci
