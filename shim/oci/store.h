// Containers of one --root: a directory each, which exists from create to delete, is locked while
// the container changes, and holds the executor's state. What a dead creator left half-made counts
// as not there and is replaced by the next create.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "native/kernel/fd.h"
#include "native/kernel/result.h"
#include "native/oci/state_file.h"

namespace davit::oci_cli {

inline constexpr char kNotThere[] = "container does not exist";

// A path of the command line, for what happens after another chdir.
std::string absolute(const std::string& path);

Result<> check_id(const std::string& id);

// A container's directory, locked until this object goes.
class Entry {
 public:
  Entry() = default;
  static Result<Entry> make(const std::string& root, const std::string& id);
  // Waits for whoever has it, at most ten seconds.
  static Result<Entry> lock(const std::string& root, const std::string& id);

  const std::string& dir() const { return dir_; }
  void unlock();
  Result<> remove();
  // What a creator left that died before the container had a state; the folder itself stays.
  Result<> remove_half_made();

 private:
  std::string dir_;
  Fd fd_;
};

enum class Status { kCreated, kRunning, kPaused, kStopped };
const char* name_of(Status status);

struct View {
  oci::StateFile state;
  Status status = Status::kStopped;
  Fd pidfd;  // when it is not stopped
  std::string dir;
};

// A look at a container, without locking it.
Result<View> look(const std::string& root, const std::string& id);
Result<std::vector<std::string>> list_ids(const std::string& root);

// False when the process has not ended after `timeout_ms`.
bool wait_for_end(int pidfd, int timeout_ms);

}  // namespace davit::oci_cli
