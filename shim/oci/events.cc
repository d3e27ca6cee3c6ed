// events.
#include <poll.h>
#include <stdio.h>
#include <time.h>

#include "native/oci/container.h"
#include "native/oci/json_text.h"
#include "shim/oci/commands.h"
#include "shim/oci/log.h"
#include "shim/oci/stats_json.h"
#include "shim/oci/store.h"

namespace davit::oci_cli {
namespace {

constexpr std::int64_t kUsualIntervalMs = 5000;

std::int64_t now_ms() {
  struct timespec now;
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1'000'000;
}

void print_event(const char* type, const std::string& id, const std::string& data) {
  std::string line = "{\"type\":" + oci::json::quote(type) + ",\"id\":" + oci::json::quote(id);
  if (!data.empty()) line += ",\"data\":" + data;
  ::puts((line + '}').c_str());
  ::fflush(stdout);
}

Result<> print_stats(const oci::Container& container, const std::string& id) {
  DAVIT_ASSIGN(oci::Stats stats, container.stats());
  print_event("stats", id, stats_json(stats));
  return {};
}

// Until the container ends.
Result<int> follow(const oci::Container& container, const std::string& id,
                   std::int64_t interval_ms) {
  DAVIT_ASSIGN(oci::OomWatch watch, container.oom_watch());
  std::uint64_t killed = 0;
  std::int64_t next = now_ms() + interval_ms;
  for (;;) {
    struct pollfd items[2] = {{container.pidfd(), POLLIN, 0}, {watch.fd.get(), POLLIN, 0}};
    std::int64_t left = std::max<std::int64_t>(0, next - now_ms());
    int n = ::poll(items, 2, static_cast<int>(std::min<std::int64_t>(left, 1 << 30)));
    if (n < 0 && errno != EINTR) return fail_errno("poll");
    if (n > 0 && items[1].revents != 0) {
      auto count = watch.read();
      if (count && *count > killed) print_event("oom", id, "");
      if (count) killed = *count;
    }
    if (n > 0 && items[0].revents != 0) return 0;
    if (now_ms() < next) continue;
    // The container may be ending just now.
    if (auto printed = print_stats(container, id); !printed) log_error(printed.error().text());
    next = now_ms() + interval_ms;
  }
}

}  // namespace

Result<int> events_command(const Call& call) {
  std::int64_t interval = kUsualIntervalMs;
  if (call.options.has("interval")) {
    DAVIT_ASSIGN(interval, parse_duration(call.options.get("interval")));
  }
  if (interval <= 0) return fail(0, "duration interval must be greater than 0");
  DAVIT_ASSIGN(View view, look(call.globals.root, call.id()));
  if (view.status == Status::kStopped)
    return fail(0, "container with id " + call.id() + " is not running");
  DAVIT_ASSIGN(auto container, oci::Container::load(view.dir));
  if (!call.options.has("stats")) return follow(*container, call.id(), interval);
  DAVIT_TRY(print_stats(*container, call.id()));
  return 0;
}

}  // namespace davit::oci_cli
