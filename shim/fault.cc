#include "shim/fault.h"

#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <cstdlib>
#include <string_view>

namespace davit::shim::fault {

bool armed = false;

namespace {

std::string_view wanted;  // the environment's own text

// What `place` is to do; empty when it is not named.
std::string_view action_at(std::string_view place) {
  for (std::string_view rest = wanted; !rest.empty();) {
    const size_t comma = rest.find(',');
    const std::string_view item = rest.substr(0, comma);
    rest.remove_prefix(comma == rest.npos ? rest.size() : comma + 1);
    if (item.starts_with(place) && item.substr(place.size()).starts_with('=')) {
      return item.substr(place.size() + 1);
    }
  }
  return {};
}

void stall(long milliseconds) {
  timespec left{.tv_sec = milliseconds / 1000, .tv_nsec = milliseconds % 1000 * 1'000'000};
  while (::nanosleep(&left, &left) != 0 && errno == EINTR) continue;
}

}  // namespace

void read_environment() {
  const char* value = std::getenv("DAVIT_FAULTS");
  if (value != nullptr) wanted = value;
  armed = !wanted.empty();
}

Result<> act(const char* place) {
  constexpr std::string_view kStall = "stall:";
  const std::string_view action = action_at(place);
  if (action.empty()) return {};
  if (action == "die") ::kill(::getpid(), SIGKILL);
  if (action == "fail") return fail(EIO, std::string("fault point ") + place);
  if (action.starts_with(kStall)) stall(std::atol(action.data() + kStall.size()));
  return {};
}

}  // namespace davit::shim::fault
