// A container's cgroup as a transient scope of systemd's.
#pragma once

#include <sys/types.h>

#include <map>
#include <string>
#include <string_view>

#include "native/kernel/fd.h"
#include "native/kernel/result.h"
#include "native/oci/resources.h"

namespace davit::oci {

// systemd makes no scope without a process in it, and ends one that has lost its last: a process
// of ours holds it until the container's own is inside. It ends with this object, or with us.
class Scope {
 public:
  // `cgroups_path` is slice:prefix:name; empty: `id` in system.slice. EINVAL for another form.
  static Result<Scope> start(std::string_view cgroups_path, std::string_view id,
                             const Resources& resources,
                             const std::map<std::string, std::string>& annotations);
  Scope(Scope&& other) noexcept;
  Scope& operator=(Scope&&) = delete;
  ~Scope();

  const std::string& unit() const { return unit_; }
  const std::string& cgroups_path() const { return cgroups_path_; }  // slice:prefix:name
  pid_t holder() const { return holder_; }

 private:
  Scope() = default;
  std::string unit_, cgroups_path_;
  pid_t holder_ = -1;
  Fd holder_fd_;
};

Result<> update_scope(const std::string& unit, const Resources& resources, bool unified);
Result<> stop_scope(const std::string& unit);

}  // namespace davit::oci
