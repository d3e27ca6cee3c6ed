// Mounts as containerd's API describes them: a type, a source and option strings.
//
// `options` mixes mount(2) flags ("ro", "rbind", "nosuid"), propagation ("rshared") and the file
// system's own data ("lowerdir=/a:/b"). The shim mounts a task's rootfs from such a list, the
// daemon mounts snapshots.
#pragma once

#include <string>
#include <vector>

#include "native/kernel/result.h"

namespace davit::mount_spec {

struct Spec {
  std::string type;
  std::string source;
  std::vector<std::string> options;
};

// What the options mean to mount(2).
struct Parsed {
  unsigned long flags = 0;                 // without propagation
  std::vector<unsigned long> propagation;  // MS_SHARED and the like, applied in order afterwards
  std::string data;                        // the rest, joined by commas
  bool loop = false;                       // source is a file to be attached to a loop device
};
Parsed parse(const Spec& spec);

// Moves the longest directory that all layers share out of the overlay data into `*base`, so that
// many layers fit into the one page mount(2) accepts. `data` is unchanged, and `*base` empty, when
// there is nothing to gain. Upper and work directories stay as they are.
std::string compact_overlay(const std::string& data, std::string* base);

// Mounts `spec` on the existing `target`. Overlay data that exceeds a page is mounted relative to
// the layers' common directory: the calling thread's working directory changes for a moment, so a
// process with several threads calls this from one that has unshared CLONE_FS. A bind mount that
// fails half way (flags, propagation) is unmounted again.
Result<> mount(const Spec& spec, const std::string& target);

// The same for options with `uidmap=` and `gidmap=`: what mount() does with them.
Result<> mount_mapped(const Spec& spec, const std::string& target);

// Mounts all in order on the same target; undoes them when one fails.
Result<> mount_all(const std::vector<Spec>& specs, const std::string& target);

// Unmounts the topmost mount on `target`, never through a symbolic link. A busy one is tried again
// for up to `patience_ms`. EINVAL: nothing is mounted there.
Result<> unmount(const std::string& target, bool detach, int patience_ms);

// Unmounts everything stacked on `target`; nothing mounted, or no such path, is success.
Result<> unmount_all(const std::string& target, bool detach, int patience_ms);

}  // namespace davit::mount_spec
