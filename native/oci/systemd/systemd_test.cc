// D-Bus and systemd's driver without a systemd: messages, what systemd is told of limits, and what
// becomes of a bus that errs, hangs or talks nonsense. With a real one:
// integration/interop/systemd.sh.
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "native/kernel/fd.h"
#include "native/oci/systemd/manager.h"
#include "native/oci/systemd/properties.h"
#include "native/oci/testing/check.h"

namespace {

using namespace davit;
using namespace davit::oci;

// A message as a peer writes it: the header of a call, with another kind and reply number.
std::string message(dbus::Kind kind, const char* member, std::uint32_t reply_to,
                    std::string_view signature, const std::string& body) {
  std::string out = "l";
  out += {static_cast<char>(kind), '\0', '\1'};
  auto number = [&](std::uint32_t value) {
    out.append((4 - out.size() % 4) % 4, '\0');
    out.append(reinterpret_cast<const char*>(&value), sizeof value);
  };
  number(static_cast<std::uint32_t>(body.size()));
  number(7);
  number(0);  // of the fields, set below
  auto field = [&](char code, char type, std::string_view text) {
    out.append((8 - out.size() % 8) % 8, '\0');
    out += {code, '\1', type, '\0'};
    if (type == 'g')
      out += static_cast<char>(text.size());
    else
      number(static_cast<std::uint32_t>(text.size()));
    out += text;
    out += '\0';
  };
  field(2, 's', "org.freedesktop.systemd1.Manager");
  if (*member != '\0') field(kind == dbus::Kind::kError ? 4 : 3, 's', member);
  field(8, 'g', signature);
  out.append((8 - out.size() % 8) % 8, '\0');
  out += {'\5', '\1', 'u', '\0'};
  number(reply_to);
  auto fields = static_cast<std::uint32_t>(out.size() - dbus::kFixedHeader);
  out.replace(12, 4, reinterpret_cast<const char*>(&fields), sizeof fields);
  out.append((8 - out.size() % 8) % 8, '\0');
  return out + body;
}

// u, o, s, s of JobRemoved; or one string.
std::string job_removed(const char* job, const char* unit, const char* result) {
  dbus::Body texts;
  texts.boolean(true).string(job).string(unit).string(result);  // a boolean is as long as a number
  return message(dbus::Kind::kSignal, "JobRemoved", 0, "uoss", texts.bytes());
}
std::string job_reply(std::uint32_t serial, const char* job) {
  return message(dbus::Kind::kReply, "", serial, "o", dbus::Body().string(job).bytes());
}

void messages() {
  dbus::Properties properties = {{"PIDs", std::vector<std::uint32_t>{1, 2}},
                                 {"Delegate", true},
                                 {"AllowedCPUs", std::vector<std::uint8_t>{5}},
                                 {"DeviceAllow", dbus::Pairs{{"/dev/null", "rw"}}}};
  dbus::Body body;
  body.string("x.scope").string("fail").properties(properties).no_units();
  CHECK_EQUAL(body.signature(), "ssa(sv)a(sa(sv))");
  std::string call = dbus::encode({"to", "/path", "of.Interface", "Member", body}, 9);
  auto size = dbus::message_size(call);
  CHECK(size && *size == call.size());
  auto decoded = dbus::decode(call);
  CHECK(decoded && decoded->path == "/path" && decoded->member == "Member" &&
        decoded->interface == "of.Interface" && decoded->signature == body.signature() &&
        decoded->body == body.bytes());
  // No prefix of it is taken for a message, and nothing is read past its end.
  for (std::size_t n = 0; n < call.size(); ++n) CHECK(!dbus::decode(call.substr(0, n)));
  auto told = dbus::decode(job_removed("/job/1", "x.scope", "done"));
  auto texts = told ? dbus::texts_of(*told) : std::vector<std::string>{};
  CHECK(texts && texts->size() == 3 && (*texts)[1] == "x.scope");
  std::string big = call;
  big[7] = '\x7f';
  CHECK(dbus::message_size(big).error().code == EMSGSIZE);
  big = call;
  big[0] = 'B';
  CHECK(!dbus::message_size(big));
  CHECK_EQUAL(dbus::unix_path("tcp:host=x;unix:path=/a%20b,guid=1;unix:path=/c"), "/a b");
  CHECK_EQUAL(dbus::unix_path("unix:abstract=/x"), "");
}

const dbus::Value* value_of(const dbus::Properties& all, std::string_view name) {
  const dbus::Value* found = nullptr;
  for (const dbus::Property& one : all)
    if (one.name == name) found = &one.value;
  return found;
}

std::string number_of(const dbus::Properties& all, std::string_view name) {
  const dbus::Value* value = value_of(all, name);
  const auto* number = value == nullptr ? nullptr : std::get_if<std::uint64_t>(value);
  return number == nullptr ? "none" : std::to_string(*number);
}

void limits() {
  auto resources = parse_resources(
      R"({"memory": {"limit": 100, "swap": 150, "reservation": -1}, "pids": {"limit": 0},
          "cpu": {"shares": 1024, "quota": 12345, "period": 100000, "cpus": "0,9-10"},
          "unified": {"memory.high": "max", "cpuset.mems": "1", "io.max": "8:0 rbps=1"}})");
  CHECK(resources.has_value());
  auto v2 = limit_properties(*resources, true, true);
  CHECK(v2.has_value());
  CHECK_EQUAL(number_of(*v2, "MemoryMax") + " " + number_of(*v2, "MemorySwapMax"), "100 50");
  CHECK_EQUAL(number_of(*v2, "MemoryLow"), std::to_string(UINT64_MAX));
  CHECK_EQUAL(number_of(*v2, "MemoryHigh"), std::to_string(UINT64_MAX));
  CHECK_EQUAL(number_of(*v2, "CPUWeight") + " " + number_of(*v2, "CPUQuotaPerSecUSec"),
              "39 130000");
  CHECK_EQUAL(number_of(*v2, "TasksMax") + number_of(*v2, "DevicePolicy"), "nonenone");
  const auto* cpus = std::get_if<std::vector<std::uint8_t>>(value_of(*v2, "AllowedCPUs"));
  CHECK(cpus != nullptr && *cpus == (std::vector<std::uint8_t>{1, 6}));
  CHECK(value_of(*v2, "AllowedMemoryNodes") != nullptr && value_of(*v2, "DeviceAllow") == nullptr);
  auto v1 = limit_properties(*resources, false, true);
  CHECK(v1 && number_of(*v1, "MemoryLimit") == "100" && number_of(*v1, "CPUShares") == "1024");
  const auto* devices = v1 ? std::get_if<dbus::Pairs>(value_of(*v1, "DeviceAllow")) : nullptr;
  CHECK(devices != nullptr && devices->size() > 8 && (*devices)[2].first == "/dev/char/1:3");
  for (const char* wrong : {R"({"cpu": {"cpus": "3-1"}})", R"({"cpu": {"cpus": "0-99999"}})",
                            R"({"unified": {"pids.max": "-1"}})"})
    CHECK(!limit_properties(*parse_resources(wrong), true, false));
}

void annotations() {
  auto given = [](const char* name, const char* value) {
    return annotated_properties({{std::string("org.systemd.property.") + name, value}, {"x", "y"}});
  };
  auto fine = given("TimeoutStopUSec", "uint64 5");
  CHECK(fine && fine->size() == 1 && number_of(*fine, "TimeoutStopUSec") == "5");
  CHECK(given("CollectMode", "'inactive-or-failed'") && given("SendSIGHUP", "true") &&
        given("KillSignal", "int32 15"));
  for (const auto& [name, value] : std::initializer_list<std::pair<const char*, const char*>>{
           {"CollectMode", "inactive"},
           {"CollectMode", "'a' 'b'"},
           {"SendSIGHUP", "1"},
           {"KillSignal", "99999999999"},
           {"TimeoutStopUSec", "uint64 1'; touch /tmp/x"}}) {
    auto refused = given(name, value);
    CHECK(!refused && refused.error().code == EINVAL);
  }
  // What would run something, lift a limit or end other units.
  for (const char* name : {"ExecStopPost", "SuccessAction", "FailureAction", "OnFailure", "Before",
                           "MemoryMax", "DeviceAllow", "Slice", "PIDs", "Delegate", ""}) {
    auto refused = given(name, "'x'");
    CHECK(!refused && refused.error().code == EPERM);
  }
}

// A bus that says `greeting` to whoever comes, and `answer` at the first call; then it waits, or
// goes when `hangs_up`.
class Bus {
 public:
  Bus(std::string greeting, std::string answer, bool hangs_up = false) {
    char dir[] = "/tmp/davit-bus.XXXXXX";
    if (::mkdtemp(dir) == nullptr) ::abort();
    dir_ = dir;
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    (dir_ + "/bus").copy(address.sun_path, sizeof address.sun_path - 1);
    Fd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    CHECK(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 &&
          ::listen(listener.get(), 1) == 0);
    ::setenv("DBUS_SYSTEM_BUS_ADDRESS", ("unix:path=" + dir_ + "/bus").c_str(), 1);
    pid_ = ::fork();
    if (pid_ != 0) return;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    int peer = ::accept(listener.get(), nullptr, nullptr);
    char buffer[4096];
    for (const std::string& text : {greeting, answer})
      if (::read(peer, buffer, sizeof buffer) <= 0 || ::write(peer, text.data(), text.size()) < 0)
        ::_exit(1);
    while (!hangs_up) ::pause();
    ::_exit(0);
  }
  ~Bus() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    ::unlink((dir_ + "/bus").c_str());
    ::rmdir(dir_.c_str());
    ::unsetenv("DBUS_SYSTEM_BUS_ADDRESS");
  }

 private:
  std::string dir_;
  pid_t pid_ = -1;
};

std::string start(int patience_ms = 5000) {
  auto manager = SystemdManager::connect(patience_ms);
  auto started = manager ? manager->start("x.scope", {}) : std::unexpected(manager.error());
  return started ? "started" : started.error().text();
}

void buses() {
  // Hello, AddMatch, Subscribe and StartTransientUnit are calls 1 to 4: answered before they come.
  std::string ready;
  for (std::uint32_t serial = 1; serial < 4; ++serial)
    ready += message(dbus::Kind::kReply, "", serial, "", "");
  const std::string ok = "OK 0123\r\n";
  {
    Bus bus(ok, ready + job_removed("/job/other", "x.scope", "done") +
                    job_removed("/job/1", "y.scope", "failed") + job_reply(4, "/job/1") +
                    job_removed("/job/1", "x.scope", "done"));
    CHECK_EQUAL(start(), "started");
  }
  {
    Bus bus(ok, ready + job_removed("/job/1", "x.scope", "failed") + job_reply(4, "/job/1"));
    CHECK_CONTAINS(start(), "start \"x.scope\": its job has ended as \"failed\"");
  }
  {
    std::string name = "org.freedesktop.DBus.Error.InvalidArgs";
    Bus bus(ok, ready + message(dbus::Kind::kError, name.c_str(), 4, "s",
                                dbus::Body().string("no such property").bytes()));
    CHECK_CONTAINS(start(), "no such property (" + name + ")");
  }
  {
    Bus bus(ok, ready + job_reply(4, "/job/1"));
    CHECK_CONTAINS(start(300), "no answer");
  }
  {
    Bus bus(ok, ready, true);
    CHECK_CONTAINS(start(), "connection reset by peer");
  }
  {
    Bus bus(ok, ready + std::string(64, '\xff'));
    CHECK_CONTAINS(start(), "D-Bus message: of another byte order");
  }
  {
    Bus bus("REJECTED EXTERNAL\r\n", "");
    CHECK_CONTAINS(start(), "does not take us for user");
  }
  {
    Bus bus(std::string(2000, 'x'), "");
    CHECK_CONTAINS(start(), "no answer to AUTH");
  }
  ::setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus", 1);
  CHECK_CONTAINS(start(), "systemd is not running here; use the cgroupfs driver");
  ::unsetenv("DBUS_SYSTEM_BUS_ADDRESS");
}

}  // namespace

int main() {
  messages();
  limits();
  annotations();
  buses();
  return testing::result();
}
