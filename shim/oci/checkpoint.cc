// checkpoint, restore.
#include "shim/oci/commands.h"
#include "shim/oci/store.h"

namespace davit::oci_cli {

Result<int> checkpoint_command(const Call& call) {
  DAVIT_TRY(look(call.globals.root, call.id()));
  return fail(0, "checkpoint: davit-oci cannot save containers yet");
}

Result<int> restore_command(const Call& call) {
  DAVIT_TRY(check_id(call.id()));
  return fail(0, "restore: davit-oci cannot restore containers yet");
}

}  // namespace davit::oci_cli
