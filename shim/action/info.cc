#include <unistd.h>

#include <cstdio>

#include "native/kernel/pb.h"
#include "native/oci/features.h"
#include "shim/action/actions.h"
#include "shim/version.h"
#include "shim/wire/messages.h"

namespace davit::shim {

namespace {

constexpr char kFeatures[] = "types.containerd.io/opencontainers/runtime-spec/1/features/Features";

}  // namespace

int info_action() {
  pb::Writer version;
  version.text(1, kVersion);
  version.text(2, kRevision);
  pb::Writer info;
  info.text(1, kRuntime);
  info.bytes(2, version.data());
  info.bytes(4, wire::encode(wire::Any{kFeatures, oci::features_json(kVersion)}));
  const std::string& bytes = info.data();
  return ::write(STDOUT_FILENO, bytes.data(), bytes.size()) < 0 ? 1 : 0;
}

int version_action() {
  std::printf("%s:\n  Version:  %s\n  Revision: %s\n", kName, kVersion, kRevision);
  return 0;
}

}  // namespace davit::shim
