// systemd's manager (org.freedesktop.systemd1): transient scopes for containers.
#pragma once

#include <string>
#include <vector>

#include "native/kernel/result.h"
#include "native/oci/systemd/bus.h"

namespace davit::oci {

class SystemdManager {
 public:
  // At DBUS_SYSTEM_BUS_ADDRESS where that is set, else by systemd's own socket, else by the system
  // bus. A failure says what to do where there is no systemd.
  // Every wait, here and below, lasts at most `patience_ms`.
  static Result<SystemdManager> connect(long patience_ms = 30'000);

  // Makes the scope and waits until it is there. A failed unit of the name is forgotten first;
  // EEXIST when one is running.
  Result<> start(const std::string& unit, const dbus::Properties& properties);
  Result<> set(const std::string& unit, const dbus::Properties& properties);
  // Waits until it has stopped, and lets it be forgotten; no error when it is not there.
  Result<> stop(const std::string& unit);

 private:
  struct Job {
    std::string path, result;
  };
  SystemdManager(dbus::Bus bus, bool broker, long patience_ms);
  Result<dbus::Message> call(const std::string& member, const dbus::Body& body);
  // Calls what begins a job for the unit and waits for its end.
  Result<> run_job(const std::string& member, const std::string& unit, const dbus::Body& body);
  void note(const dbus::Message& signal);

  dbus::Bus bus_;
  bool broker_ = false;
  long patience_ms_, deadline_;
  std::string unit_;        // whose jobs are waited for
  std::vector<Job> ended_;  // of unit_
};

}  // namespace davit::oci
