// What a client may ask of the runtime at Create (containerd.runc.v1.Options), checked.
#pragma once

#include "native/oci/container.h"
#include "shim/stdio/process_io.h"
#include "shim/wire/messages.h"

namespace davit::shim {

// Fills what the executor and the stdio take from the request's options. Fails with ENOTSUP for
// what this shim cannot do, EINVAL for what is malformed, 0 for options of an unknown type.
Result<> apply_options(const wire::Any& options, oci::CreateOptions& create, IoContext& io);

}  // namespace davit::shim
