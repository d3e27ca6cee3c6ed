// What a client may ask of the runtime at Create (containerd.runc.v1.Options), checked.
#pragma once

#include "native/oci/container.h"
#include "shim/stdio/process_io.h"
#include "shim/task/oci_runtime.h"
#include "shim/wire/messages.h"

namespace davit::shim {

struct RuntimeOptions {
  std::string criu_work;               // where a restore keeps its log
  std::optional<RuntimeChoice> other;  // who is to do the executor's work, if not the executor
};

// Fills what the executor, the stdio and the task take from the request's options. Fails with
// ENOTSUP for what this shim cannot do, EINVAL for what is malformed, 0 for options of an unknown
// type.
Result<> apply_options(const wire::Any& options, oci::CreateOptions& create, IoContext& io,
                       RuntimeOptions& own);

// What a checkpoint request asks for.
Result<oci::CheckpointOptions> checkpoint_options(const wire::CheckpointTaskRequest& request);

}  // namespace davit::shim
