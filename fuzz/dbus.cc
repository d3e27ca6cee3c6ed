// A D-Bus message, as its length is read first and then all of it.
#include <string>

#include "fuzz/target.h"
#include "native/oci/systemd/message.h"

using namespace davit::oci;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view bytes = davit::fuzz::text_of(data, size);
  auto whole = dbus::message_size(bytes);
  auto message = dbus::decode(bytes);
  if (!message) return 0;
  davit::fuzz::claim(whole && *whole == size && message->body.size() < size);
  auto texts = dbus::texts_of(*message);
  if (!texts) return 0;
  // Nothing comes out that was not in it.
  std::size_t length = 0;
  for (const std::string& text : *texts) length += text.size();
  davit::fuzz::claim(length <= message->body.size());
  return 0;
}
