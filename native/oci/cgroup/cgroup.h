// The cgroup of one container: a directory in every hierarchy that is mounted.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "native/kernel/fd.h"
#include "native/kernel/result.h"
#include "native/oci/cgroup/hierarchy.h"
#include "native/oci/resources.h"
#include "native/oci/stats.h"

namespace davit::oci {

class Scope;

class Cgroup {
 public:
  // Makes the directories, then writes the limits; takes no process yet. In two steps, as a process
  // can be born in v2's directory before those of v1 are there. When `begin` fails nothing stays;
  // after `complete` has failed it is to be removed.
  // With `scope` they are those of a scope that systemd has begun.
  static Result<Cgroup> begin(std::string_view cgroups_path, std::string_view id,
                              const Scope* scope = nullptr);
  Result<> complete(const Resources& resources);
  // Those of the directories that are there; its maker may have died on the way.
  static Result<Cgroup> find(std::string_view cgroups_path, std::string_view id);
  // The same cgroup in another process: what paths() and unit() gave there.
  static Cgroup reopen(std::vector<std::string> paths, std::string unit = "");

  // Existing directories below this one: `[CONTROLLERS:]PATH`, without controllers in every
  // hierarchy.
  Result<Cgroup> below(const std::vector<std::string>& choices) const;

  // Absolute directories, one per hierarchy, as "controllers=path" for state.json; also of those
  // that are yet to be made.
  std::vector<std::string> paths() const;
  // The directory of a v1 controller, or of v2 for ""; empty when there is none.
  const std::string& path_of(std::string_view controller) const;
  bool unified() const { return unified_; }
  // systemd's scope, which it is told of changes of; empty without.
  const std::string& unit() const { return unit_; }

  // A process joins without the machine-wide lock that moving another process takes (up to 10 ms):
  // it is born in v2's directory by clone3, and writes itself ("0") to these v1 files.
  struct Entrance {
    Fd clone_target;             // for CLONE_INTO_CGROUP; empty without v2
    std::vector<Fd> task_files;  // v1
  };
  Result<Entrance> entrance() const;
  Result<Fd> clone_target() const;

  // v2's directory takes no process (EBUSY) once the container has handed its controllers on to
  // cgroups below: the one of these that `init` is in. ENOENT when it is in none.
  Result<Fd> open_below_with(pid_t init) const;

  // Gives v2's cgroup to a user, as far as the kernel says that this is safe: who may then make
  // cgroups below and move processes between them, but not change the limits. Nothing on v1, where
  // it is not.
  Result<> delegate(uid_t owner) const;

  Result<> update(const Resources& resources);
  Result<> freeze(bool frozen) const;  // waits until it is so, at most 2 s
  Result<bool> frozen() const;
  Result<> kill(int signal) const;  // every process in it and below
  Result<std::vector<pid_t>> pids() const;
  Result<Stats> stats() const;
  // Lets systemd stop the scope, removes the directories; what is in them must have ended. Tries
  // for 500 ms, then EBUSY.
  Result<> remove() const;

 private:
  struct Place {
    std::string controllers;
    std::string path;
    bool v2 = false;
    std::size_t mount = 0;  // the length of the hierarchy's own path; while it is being made
  };
  Result<> make(Place place);
  const Place* place_of(std::string_view controller) const;
  Result<> apply(const Resources& resources, bool with_devices) const;
  Result<> remove_directories() const;

  std::vector<Place> places_, to_make_;
  std::string unit_;
  pid_t holder_ = -1;  // of the scope: is nobody else's process
  bool unified_ = false;
};

Result<Stats> read_stats_v1(const Cgroup& cgroup);
Result<Stats> read_stats_v2(const std::string& path);

}  // namespace davit::oci
