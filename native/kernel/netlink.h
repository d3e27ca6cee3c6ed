// Network devices by rtnetlink(7): looked at, moved to another network namespace, set up there.
#pragma once

#include <string>
#include <vector>

#include "native/kernel/fd.h"
#include "native/kernel/result.h"

namespace davit::kernel {

struct NetAddress {
  unsigned char family = 0, prefix = 0, scope = 0;
  std::string local, peer, broadcast;  // as bytes; empty: none
};

// A socket in the network namespace of its creation, which it stays in.
class Netlink {
 public:
  static Result<Netlink> open();

  Result<int> index_of(const std::string& name) const;
  // The permanent ones of global scope.
  Result<std::vector<NetAddress>> lasting_addresses(int index) const;
  // `name` may end in %d for a number of the kernel's choosing. EEXIST when it is taken there.
  Result<> move(int index, const std::string& name, int net_namespace) const;
  Result<> add_address(int index, const NetAddress& address) const;
  Result<> set_up(int index) const;
  Result<std::vector<int>> indexes() const;

 private:
  explicit Netlink(Fd socket) : socket_(std::move(socket)) {}
  Fd socket_;
};

}  // namespace davit::kernel
