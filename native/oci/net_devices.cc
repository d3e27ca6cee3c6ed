#include "native/oci/net_devices.h"

#include <fcntl.h>
#include <sched.h>

#include <algorithm>

#include "native/kernel/file.h"
#include "native/kernel/netlink.h"
#include "native/kernel/process.h"

namespace davit::oci {
namespace {

// A socket is of the namespace in which it is made: goes there for the moment that this takes.
Result<kernel::Netlink> open_netlink_in(int net_namespace) {
  DAVIT_ASSIGN(Fd own, kernel::open_at(AT_FDCWD, "/proc/self/ns/net", O_RDONLY));
  DAVIT_TRY(kernel::join_namespaces(net_namespace, CLONE_NEWNET));
  auto socket = kernel::Netlink::open();
  if (auto back = kernel::join_namespaces(own.get(), CLONE_NEWNET); !back)
    return wrap("return to the own network namespace", std::move(back).error());
  return socket;
}

// The kernel may have to give it another number there, and chooses the name when asked to.
Result<int> arrived(const kernel::Netlink& there, const std::string& name,
                    const std::vector<int>& before) {
  if (name.find('%') == std::string::npos) return there.index_of(name);
  DAVIT_ASSIGN(std::vector<int> now, there.indexes());
  for (int index : now)
    if (std::find(before.begin(), before.end(), index) == before.end()) return index;
  return fail(ENODEV, "it did not arrive");
}

Result<> move_device(const kernel::Netlink& here, const kernel::Netlink& there, int net_namespace,
                     const NetDevice& device) {
  DAVIT_ASSIGN(int index, here.index_of(device.host_name));
  DAVIT_ASSIGN(auto addresses, here.lasting_addresses(index));
  // Before it is moved: a device of software would end with the namespace.
  if (there.index_of(device.name)) return fail(EEXIST, "the name is taken there");
  DAVIT_ASSIGN(std::vector<int> before, there.indexes());
  DAVIT_TRY(here.move(index, device.name, net_namespace));
  DAVIT_ASSIGN(index, arrived(there, device.name, before));
  for (const kernel::NetAddress& address : addresses) DAVIT_TRY(there.add_address(index, address));
  return there.set_up(index);
}

}  // namespace

Result<> move_net_devices(const Spec& spec, const Namespaces& namespaces, pid_t pid) {
  if (spec.net_devices.empty()) return {};
  Fd opened;
  int net_namespace = namespaces.fd_of(CLONE_NEWNET);
  if (net_namespace < 0) {
    std::string path = "/proc/" + std::to_string(pid) + "/ns/net";
    DAVIT_ASSIGN(opened, kernel::open_at(AT_FDCWD, path.c_str(), O_RDONLY));
    net_namespace = opened.get();
  }
  DAVIT_ASSIGN(kernel::Netlink here, kernel::Netlink::open());
  DAVIT_ASSIGN(kernel::Netlink there, open_netlink_in(net_namespace));
  for (const NetDevice& device : spec.net_devices)
    if (auto moved = move_device(here, there, net_namespace, device); !moved)
      return wrap("linux.netDevices: move \"" + device.host_name + "\" as \"" + device.name + '"',
                  std::move(moved).error());
  return {};
}

}  // namespace davit::oci
