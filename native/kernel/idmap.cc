#include "native/kernel/idmap.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <charconv>

#include "native/kernel/file.h"
#include "native/kernel/mount.h"
#include "native/kernel/process.h"

namespace davit::kernel {
namespace {

// The one process of a user namespace that is being made: it does nothing.
class Holder {
 public:
  static Result<Holder> start() {
    DAVIT_ASSIGN(Child child, clone_process(CLONE_NEWUSER));
    if (child.pid != 0) return Holder(std::move(child));
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) ::pause();
  }
  Holder(Holder&&) = default;
  ~Holder() {
    if (!child_.pidfd) return;
    (void)signal_pidfd(child_.pidfd.get(), SIGKILL);
    (void)reap(child_.pid);
  }
  std::string path(const char* name) const {
    return "/proc/" + std::to_string(child_.pid) + '/' + name;
  }

 private:
  explicit Holder(Child child) : child_(std::move(child)) {}
  Child child_;
};

}  // namespace

Result<Fd> make_user_namespace(const IdMaps& maps) {
  DAVIT_ASSIGN(Holder holder, Holder::start());
  DAVIT_TRY(write_value(AT_FDCWD, holder.path("gid_map").c_str(), maps.gids));
  DAVIT_TRY(write_value(AT_FDCWD, holder.path("uid_map").c_str(), maps.uids));
  return open_at(AT_FDCWD, holder.path("ns/user").c_str(), O_RDONLY);
}

Result<IdMap> parse_id_map(std::string_view option) {
  IdMap out;
  auto wrong = [&] {
    return fail(EINVAL, "id map \"" + std::string(option) + "\": must be like 0:100000:65536");
  };
  for (std::string_view rest = option; !rest.empty();) {
    std::string_view one = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), one.size() + 1));
    IdRange range;
    for (std::uint32_t* number : {&range.inside, &range.outside, &range.size}) {
      auto [end, error] = std::from_chars(one.data(), one.data() + one.size(), *number);
      one.remove_prefix(static_cast<std::size_t>(end - one.data()));
      bool last = number == &range.size;
      if (error != std::errc() || (last ? !one.empty() : !one.starts_with(':'))) return wrong();
      if (!last) one.remove_prefix(1);
    }
    out.push_back(range);
  }
  if (out.empty()) return wrong();
  return out;
}

std::string id_map_text(const IdMap& map) {
  std::string out;
  for (const IdRange& range : map)
    out += std::to_string(range.inside) + ' ' + std::to_string(range.outside) + ' ' +
           std::to_string(range.size) + '\n';
  return out;
}

std::uint32_t id_inside(const IdMap& map, std::uint32_t outside) {
  for (const IdRange& range : map)
    if (outside >= range.outside && outside - range.outside < range.size)
      return range.inside + (outside - range.outside);
  return outside;
}

std::uint32_t id_outside(const IdMap& map, std::uint32_t inside) {
  for (const IdRange& range : map)
    if (inside >= range.inside && inside - range.inside < range.size)
      return range.outside + (inside - range.inside);
  return inside;
}

Result<> map_ids(int mount, int userns, bool recursive) {
  auto mapped = set_attributes(mount, {.userns = userns}, recursive);
  if (mapped || mapped.error().code != EINVAL) return mapped;
  return fail(ENOTSUP, "its file system cannot be shown with mapped ids");
}

}  // namespace davit::kernel
