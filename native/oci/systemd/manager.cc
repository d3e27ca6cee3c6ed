#include "native/oci/systemd/manager.h"

#include <stdlib.h>

namespace davit::oci {
namespace {

constexpr char kPrivateSocket[] = "/run/systemd/private";
constexpr char kSystemBus[] = "/run/dbus/system_bus_socket";
constexpr char kDestination[] = "org.freedesktop.systemd1";
constexpr char kPath[] = "/org/freedesktop/systemd1";
constexpr char kInterface[] = "org.freedesktop.systemd1.Manager";
constexpr char kBusName[] = "org.freedesktop.DBus";
constexpr std::size_t kMostJobs = 64;

bool nobody_there(const Error& error) {
  return error.code == ENOENT || error.code == ECONNREFUSED;
}

}  // namespace

SystemdManager::SystemdManager(dbus::Bus bus, bool broker, long patience_ms)
    : bus_(std::move(bus)),
      broker_(broker),
      patience_ms_(patience_ms),
      deadline_(dbus::now_ms() + patience_ms) {}

Result<SystemdManager> SystemdManager::connect(long patience_ms) {
  long deadline = dbus::now_ms() + patience_ms;
  const char* given = ::getenv("DBUS_SYSTEM_BUS_ADDRESS");
  std::string wanted = given == nullptr ? "" : dbus::unix_path(given);
  bool broker = !wanted.empty();
  auto bus = dbus::Bus::connect(broker ? wanted : kPrivateSocket, deadline);
  if (!bus && !broker && nobody_there(bus.error())) {
    broker = true;
    bus = dbus::Bus::connect(kSystemBus, deadline);
  }
  if (!bus && nobody_there(bus.error()))
    return wrap(
        "systemd cgroups: systemd is not running here; use the cgroupfs driver "
        "(SystemdCgroup = false, no --systemd-cgroup)",
        std::move(bus).error());
  if (!bus) return wrap("systemd cgroups", std::move(bus).error());
  SystemdManager manager(std::move(*bus), broker, patience_ms);
  if (!broker) return manager;
  auto ask_bus = [&](const char* member, const dbus::Body& body) -> Result<> {
    auto reply = manager.bus_.call({kBusName, "/org/freedesktop/DBus", kBusName, member, body},
                                   deadline, [](const dbus::Message&) {});
    if (!reply) return wrap(std::string("systemd cgroups: ") + member, std::move(reply).error());
    return {};
  };
  DAVIT_TRY(ask_bus("Hello", {}));
  DAVIT_TRY(ask_bus("AddMatch", dbus::Body().string(std::string("type='signal',interface='") +
                                                    kInterface + "',member='JobRemoved'")));
  // On its own socket systemd tells without being asked.
  DAVIT_TRY(manager.call("Subscribe", {}));
  return manager;
}

void SystemdManager::note(const dbus::Message& signal) {
  if (signal.interface != kInterface || signal.member != "JobRemoved") return;
  auto texts = dbus::texts_of(signal);  // of its job, unit and result
  if (!texts || texts->size() != 3 || (*texts)[1] != unit_ || ended_.size() >= kMostJobs) return;
  ended_.push_back({(*texts)[0], (*texts)[2]});
}

Result<dbus::Message> SystemdManager::call(const std::string& member, const dbus::Body& body) {
  return bus_.call({broker_ ? kDestination : "", kPath, kInterface, member, body}, deadline_,
                   [this](const dbus::Message& signal) { note(signal); });
}

Result<> SystemdManager::run_job(const std::string& member, const std::string& unit,
                                 const dbus::Body& body) {
  deadline_ = dbus::now_ms() + patience_ms_;
  unit_ = unit;
  ended_.clear();
  DAVIT_ASSIGN(dbus::Message reply, call(member, body));
  DAVIT_ASSIGN(std::vector<std::string> texts, dbus::texts_of(reply));
  if (texts.size() != 1) return fail(EPROTO, "systemd names no job");
  for (;;) {
    for (const Job& job : ended_) {
      if (job.path != texts[0]) continue;
      if (job.result == "done") return {};
      return fail(0, "its job has ended as \"" + job.result + "\"");
    }
    DAVIT_ASSIGN(dbus::Message message, bus_.next(deadline_));
    if (message.kind == dbus::Kind::kSignal) note(message);
  }
}

Result<> SystemdManager::start(const std::string& unit, const dbus::Properties& properties) {
  auto once = [&] {
    return run_job("StartTransientUnit", unit,
                   dbus::Body().string(unit).string("fail").properties(properties).no_units());
  };
  auto started = once();
  if (!started && started.error().code == EEXIST) {
    // One that has failed stays until it is forgotten; a running one is somebody's.
    (void)call("ResetFailedUnit", dbus::Body().string(unit));
    started = once();
  }
  if (started) return {};
  return wrap("systemd: start \"" + unit + "\"", std::move(started).error());
}

Result<> SystemdManager::set(const std::string& unit, const dbus::Properties& properties) {
  deadline_ = dbus::now_ms() + patience_ms_;
  auto reply =
      call("SetUnitProperties", dbus::Body().string(unit).boolean(true).properties(properties));
  if (!reply) return wrap("systemd: change \"" + unit + "\"", std::move(reply).error());
  return {};
}

Result<> SystemdManager::stop(const std::string& unit) {
  auto stopped = run_job("StopUnit", unit, dbus::Body().string(unit).string("replace"));
  (void)call("ResetFailedUnit", dbus::Body().string(unit));
  if (stopped || stopped.error().code == ENOENT) return {};
  return wrap("systemd: stop \"" + unit + "\"", std::move(stopped).error());
}

}  // namespace davit::oci
