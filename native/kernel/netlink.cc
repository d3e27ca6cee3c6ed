#include "native/kernel/netlink.h"

#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#include <cstring>
#include <functional>

namespace davit::kernel {
namespace {

// One request: a header, its fixed part, attributes.
class Request {
 public:
  template <typename Body>
  Request(unsigned short type, unsigned short flags, const Body& body)
      : bytes_(NLMSG_LENGTH(sizeof body), '\0') {
    nlmsghdr header = {};
    header.nlmsg_type = type;
    header.nlmsg_flags = static_cast<unsigned short>(flags | NLM_F_REQUEST);
    std::memcpy(bytes_.data(), &header, sizeof header);
    std::memcpy(bytes_.data() + NLMSG_HDRLEN, &body, sizeof body);
  }
  void add(unsigned short type, std::string_view value) {
    rtattr attribute = {static_cast<unsigned short>(RTA_LENGTH(value.size())), type};
    bytes_.resize(NLMSG_ALIGN(bytes_.size()));
    bytes_.append(reinterpret_cast<const char*>(&attribute), sizeof attribute);
    bytes_.append(value);
  }
  void add(unsigned short type, int value) {
    add(type, std::string_view(reinterpret_cast<const char*>(&value), sizeof value));
  }
  std::string_view take() {
    auto length = static_cast<std::uint32_t>(bytes_.size());
    std::memcpy(bytes_.data(), &length, sizeof length);
    return bytes_;
  }

 private:
  std::string bytes_;
};

using Visit = std::function<void(const nlmsghdr&)>;

// Sends and reads until the kernel has said all: its errors are this function's.
Result<> talk(int socket, Request request, const Visit& visit = {}) {
  std::string_view bytes = request.take();
  if (::send(socket, bytes.data(), bytes.size(), 0) < 0) return fail_errno("netlink");
  bool dump = (reinterpret_cast<const nlmsghdr*>(bytes.data())->nlmsg_flags & NLM_F_DUMP) != 0;
  alignas(nlmsghdr) char buffer[32 << 10];
  for (;;) {
    ssize_t got = ::recv(socket, buffer, sizeof buffer, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno("netlink");
    auto left = static_cast<std::size_t>(got);
    for (auto* header = reinterpret_cast<nlmsghdr*>(buffer); NLMSG_OK(header, left);
         header = NLMSG_NEXT(header, left)) {
      if (header->nlmsg_type == NLMSG_DONE) return {};
      if (header->nlmsg_type == NLMSG_ERROR) {
        int code = -static_cast<const nlmsgerr*>(NLMSG_DATA(header))->error;
        return code == 0 ? Result<>() : fail(code, "netlink");
      }
      if (visit) visit(*header);
      if (!dump && (header->nlmsg_flags & NLM_F_MULTI) == 0 && visit) return {};
    }
  }
}

ifinfomsg device(int index) {
  ifinfomsg body = {};
  body.ifi_family = AF_UNSPEC;
  body.ifi_index = index;
  return body;
}

NetAddress to_address(const ifaddrmsg& body, const nlmsghdr& header, std::uint32_t& flags) {
  NetAddress out;
  out.family = body.ifa_family;
  out.prefix = body.ifa_prefixlen;
  out.scope = body.ifa_scope;
  flags = body.ifa_flags;
  std::string address;
  int left = static_cast<int>(IFA_PAYLOAD(&header));
  for (auto* one = IFA_RTA(&body); RTA_OK(one, left); one = RTA_NEXT(one, left)) {
    std::string value(static_cast<const char*>(RTA_DATA(one)), RTA_PAYLOAD(one));
    if (one->rta_type == IFA_LOCAL) out.local = value;
    if (one->rta_type == IFA_ADDRESS) address = value;
    if (one->rta_type == IFA_BROADCAST) out.broadcast = value;
    if (one->rta_type == IFA_FLAGS && value.size() == sizeof flags)
      std::memcpy(&flags, value.data(), sizeof flags);
  }
  // v6 has an address only; v4 has both, which differ for the far end of a line.
  if (out.local.empty()) out.local = address;
  if (address != out.local) out.peer = address;
  return out;
}

}  // namespace

Result<Netlink> Netlink::open() {
  Fd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!socket) return fail_errno("netlink socket");
  return Netlink(std::move(socket));
}

Result<int> Netlink::index_of(const std::string& name) const {
  Request request(RTM_GETLINK, 0, device(0));
  request.add(IFLA_IFNAME, std::string_view(name.c_str(), name.size() + 1));
  int index = 0;
  DAVIT_TRY(talk(socket_.get(), std::move(request), [&](const nlmsghdr& header) {
    index = static_cast<const ifinfomsg*>(NLMSG_DATA(&header))->ifi_index;
  }));
  return index;
}

Result<std::vector<int>> Netlink::indexes() const {
  std::vector<int> all;
  DAVIT_TRY(
      talk(socket_.get(), Request(RTM_GETLINK, NLM_F_DUMP, device(0)), [&](const nlmsghdr& header) {
        all.push_back(static_cast<const ifinfomsg*>(NLMSG_DATA(&header))->ifi_index);
      }));
  return all;
}

Result<std::vector<NetAddress>> Netlink::lasting_addresses(int index) const {
  std::vector<NetAddress> out;
  ifaddrmsg all = {};
  DAVIT_TRY(talk(socket_.get(), Request(RTM_GETADDR, NLM_F_DUMP, all), [&](const nlmsghdr& header) {
    const auto* body = static_cast<const ifaddrmsg*>(NLMSG_DATA(&header));
    if (body->ifa_index != static_cast<unsigned>(index)) return;
    std::uint32_t flags = 0;
    NetAddress address = to_address(*body, header, flags);
    if ((flags & IFA_F_PERMANENT) != 0 && address.scope == RT_SCOPE_UNIVERSE)
      out.push_back(std::move(address));
  }));
  return out;
}

Result<> Netlink::move(int index, const std::string& name, int net_namespace) const {
  Request request(RTM_NEWLINK, NLM_F_ACK, device(index));
  request.add(IFLA_NET_NS_FD, net_namespace);
  request.add(IFLA_IFNAME, std::string_view(name.c_str(), name.size() + 1));
  return talk(socket_.get(), std::move(request));
}

Result<> Netlink::add_address(int index, const NetAddress& address) const {
  ifaddrmsg body = {};
  body.ifa_family = address.family;
  body.ifa_prefixlen = address.prefix;
  body.ifa_scope = address.scope;
  body.ifa_flags = IFA_F_PERMANENT;
  body.ifa_index = static_cast<unsigned>(index);
  Request request(RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE, body);
  request.add(IFA_LOCAL, address.local);
  request.add(IFA_ADDRESS, address.peer.empty() ? address.local : address.peer);
  if (!address.broadcast.empty()) request.add(IFA_BROADCAST, address.broadcast);
  return talk(socket_.get(), std::move(request));
}

Result<> Netlink::set_up(int index) const {
  ifinfomsg body = device(index);
  body.ifi_flags = IFF_UP;
  body.ifi_change = IFF_UP;
  return talk(socket_.get(), Request(RTM_NEWLINK, NLM_F_ACK, body));
}

}  // namespace davit::kernel
