// Protobuf messages: each of the shim's, from the same bytes.
#include "shim/wire/messages.h"
#include "fuzz/target.h"
#include "native/kernel/pb.h"

using namespace davit;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view bytes = fuzz::text_of(data, size);
  wire::Any any;
  if (wire::decode(bytes, any)) {
    wire::Any again;
    fuzz::claim(wire::decode(wire::encode(any), again));
    fuzz::claim(again.value == any.value);
  }
  wire::CreateTaskRequest create;
  if (wire::decode(bytes, create))
    for (const wire::Mount& mount : create.rootfs) (void)wire::encode(mount);
  wire::ExecProcessRequest exec;
  (void)wire::decode(bytes, exec);
  wire::UpdateTaskRequest update;
  (void)wire::decode(bytes, update);
  wire::RuncOptions options;
  (void)wire::decode(bytes, options);
  wire::BootstrapParams bootstrap;
  (void)wire::decode(bytes, bootstrap);
  for (wire::Shape shape : {wire::Shape::kId, wire::Shape::kProcess, wire::Shape::kKill,
                            wire::Shape::kResize, wire::Shape::kCloseIo, wire::Shape::kShutdown}) {
    wire::ProcessRequest request;
    (void)wire::decode(bytes, shape, request);
  }
  std::string text = pb::valid_utf8(bytes);
  fuzz::claim(text.size() <= bytes.size() && pb::valid_utf8(text) == text);
  return 0;
}
