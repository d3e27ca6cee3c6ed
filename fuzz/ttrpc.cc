// ttrpc frames in pieces, as a socket delivers them. The first byte is the size of the pieces.
#include <string>

#include "fuzz/target.h"
#include "native/kernel/pb.h"
#include "shim/wire/ttrpc.h"

using namespace davit;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  std::size_t step = 1 + data[0];
  std::string_view rest = fuzz::text_of(data + 1, size - 1);
  ttrpc::Parser parser;
  while (!rest.empty()) {
    parser.feed(rest.substr(0, step));
    rest.remove_prefix(std::min(step, rest.size()));
    while (auto frame = parser.next()) {
      fuzz::claim(frame->payload.size() <= ttrpc::kMaxPayload);
      fuzz::claim(!frame->too_long || frame->payload.empty());
      ttrpc::Request request;
      if (ttrpc::decode(frame->payload, request)) {
        // What was understood survives being written and read again; names are made UTF-8.
        std::string copy = ttrpc::request_frame(1, request.service, request.method, request.payload,
                                                request.timeout_nano);
        ttrpc::Request again;
        fuzz::claim(ttrpc::decode(std::string_view(copy).substr(ttrpc::kHeader), again));
        fuzz::claim(again.service == pb::valid_utf8(request.service) &&
                    again.method == pb::valid_utf8(request.method) &&
                    again.payload == request.payload);
      }
      ttrpc::Response response;
      (void)ttrpc::decode(frame->payload, response);
    }
  }
  (void)parser.partial();
  return 0;
}
