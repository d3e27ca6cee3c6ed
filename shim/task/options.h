// What a client may ask of the runtime at Create (containerd.runc.v1.Options), checked.
#pragma once

#include "native/oci/container.h"
#include "shim/stdio/process_io.h"
#include "shim/wire/messages.h"

namespace davit::shim {

// Fills what the executor and the stdio take from the request's options. Fails with ENOTSUP for
// what this shim cannot do, EINVAL for what is malformed, 0 for options of an unknown type.
// `criu_work` is where a restore keeps its log.
Result<> apply_options(const wire::Any& options, oci::CreateOptions& create, IoContext& io,
                       std::string& criu_work);

// What a checkpoint request asks for.
Result<oci::CheckpointOptions> checkpoint_options(const wire::CheckpointTaskRequest& request);

}  // namespace davit::shim
