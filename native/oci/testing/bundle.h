// Real bundles for tests: a temporary root with Debian's static busybox, and a config.json that
// each test changes where it needs to.
#pragma once

#include <rapidjson/document.h>

#include <memory>
#include <string>

#include "native/oci/container.h"

namespace davit::testing {

class Bundle {
 public:
  Bundle();
  ~Bundle();  // removes everything; what is still mounted in it counts as a failed check
  Bundle(const Bundle&) = delete;
  Bundle& operator=(const Bundle&) = delete;

  const std::string& path() const { return path_; }
  const std::string& id() const { return id_; }
  std::string rootfs() const { return path_ + "/rootfs"; }

  // Sets the member at a JSON pointer ("/process/cwd", "/mounts/-") to a JSON value.
  Bundle& set(const char* pointer, const std::string& json);
  Bundle& remove(const char* pointer);
  // process.args = sh -c SCRIPT
  Bundle& script(const std::string& script);
  // process as it is now, for exec, with another script.
  std::string process(const std::string& script) const;
  // Runs SCRIPT on the host with $R as the rootfs: for preparing an image.
  void prepare(const std::string& script) const;

  oci::CreateOptions options(oci::Stdio stdio = {}) const;  // writes config.json

 private:
  std::string path_, id_;
  rapidjson::Document config_;
};

struct Outcome {
  int code = -1;       // exit status, 128 + signal; -1 when it never ran
  std::string output;  // stdout and stderr
  std::string error;   // of create or start
  std::vector<std::string> warnings;
};

// Creates, starts, waits and destroys.
Outcome run(const Bundle& bundle);
Outcome run(const Bundle& bundle, oci::CreateOptions options);

// A container that runs until it is killed here; its script should end in `sleep 1000`.
class Running {
 public:
  explicit Running(const Bundle& bundle);
  ~Running();  // kills, reaps, destroys; a failure of that counts as a failed check
  bool ok() const { return container_ != nullptr; }
  oci::Container& operator*() { return *container_; }
  oci::Container* operator->() { return container_.get(); }
  const std::string& error() const { return error_; }
  // Runs a process in it to its end.
  Outcome exec(const std::string& process);
  int wait();  // for init's end: its wait status

 private:
  std::unique_ptr<oci::Container> container_;
  std::string error_;
  bool reaped_ = false;
};

// Reads what a command of the host's shell prints.
std::string shell(const std::string& command);

// True where containers can be run: as root, with busybox-static installed.
bool can_run_containers();

// Checks that this program has left no process, cgroup or mount behind.
void check_leftovers();

}  // namespace davit::testing
