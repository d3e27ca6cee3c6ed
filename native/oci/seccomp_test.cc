// Our seccomp programs against libseccomp's: both are run, by an interpreter here, on every system
// call number and on arguments around every border.
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "native/oci/seccomp.h"
#include "native/oci/seccomp_library.h"
#include "native/oci/seccomp_program.h"
#include "native/oci/testing/check.h"

namespace {

using namespace davit;
using namespace davit::oci;

constexpr std::uint32_t kStuck = 0xdead;

// Classic BPF as seccomp(2) runs it. kStuck for what the kernel would refuse to load.
std::uint32_t run(const std::vector<std::uint64_t>& program, const seccomp_data& data) {
  const auto* code = reinterpret_cast<const sock_filter*>(program.data());
  std::uint32_t a = 0;
  for (std::size_t at = 0; at < program.size(); ++at) {
    const sock_filter& now = code[at];
    bool holds = false;
    switch (now.code) {
      case BPF_LD | BPF_W | BPF_ABS:
        if (now.k % 4 != 0 || now.k + 4 > sizeof data) return kStuck;
        ::memcpy(&a, reinterpret_cast<const char*>(&data) + now.k, 4);
        continue;
      case BPF_ALU | BPF_AND | BPF_K:
        a &= now.k;
        continue;
      case BPF_RET | BPF_K:
        return now.k;
      case BPF_JMP | BPF_JA:
        at += now.k;
        continue;
      case BPF_JMP | BPF_JEQ | BPF_K:
        holds = a == now.k;
        break;
      case BPF_JMP | BPF_JGT | BPF_K:
        holds = a > now.k;
        break;
      case BPF_JMP | BPF_JGE | BPF_K:
        holds = a >= now.k;
        break;
      case BPF_JMP | BPF_JSET | BPF_K:
        holds = (a & now.k) != 0;
        break;
      default:
        return kStuck;
    }
    at += holds ? now.jt : now.jf;
  }
  return kStuck;
}

seccomp_data call(std::uint32_t audit, std::uint32_t number, std::uint64_t argument) {
  seccomp_data data = {};
  data.nr = static_cast<int>(number);
  data.arch = audit;
  for (auto& one : data.args) one = argument;
  return data;
}

const std::uint32_t kAudits[] = {AUDIT_ARCH_X86_64, AUDIT_ARCH_I386, AUDIT_ARCH_AARCH64,
                                 AUDIT_ARCH_ARM};

void compare(const SeccompRules& rules, const std::vector<std::uint64_t>& arguments) {
  auto theirs = compile_with_libseccomp(rules);
  CHECK_EQUAL(theirs ? "" : theirs.error().text(), "");
  if (!theirs) return;
  auto ours = compile_rules(rules);
  int shown = 0;
  for (std::uint32_t audit : kAudits)
    for (std::uint32_t base : {0u, 0x40000000u})
      for (std::uint32_t i = 0; i < 600; ++i)
        for (std::uint64_t argument : arguments) {
          seccomp_data data = call(audit, base + i, argument);
          std::uint32_t want = run(*theirs, data), got = run(ours, data);
          if (want == got || shown++ > 5) continue;
          std::fprintf(stderr, "arch %x call %u argument %llx: %x, not libseccomp's %x\n", audit,
                       base + i, static_cast<unsigned long long>(argument), got, want);
          testing::failures++;
        }
}

constexpr std::uint32_t kAllow = SECCOMP_RET_ALLOW;

std::vector<std::uint32_t> pc() {
  return {SCMP_ARCH_X86_64, SCMP_ARCH_X86, SCMP_ARCH_X32};
}

SeccompRule rule(std::vector<std::string> names, std::uint32_t action,
                 std::vector<scmp_arg_cmp> conditions = {}) {
  return {std::move(names), action, std::move(conditions)};
}

void names_on_every_architecture() {
  std::vector<std::string> names{"read",       "write",        "openat",  "clone3", "socketcall",
                                 "ipc",        "_llseek",      "chown32", "socket", "connect",
                                 "recv",       "shmat",        "semop",   "msgctl", "accept4",
                                 "mmap2",      "rt_sigaction", "execve",  "ioctl",  "recvmmsg",
                                 "semtimedop", "nonesuch"};
  for (auto architectures :
       {pc(), std::vector<std::uint32_t>{SCMP_ARCH_X86_64},
        std::vector<std::uint32_t>{SCMP_ARCH_X86_64, SCMP_ARCH_X86},
        std::vector<std::uint32_t>{SCMP_ARCH_X86_64, SCMP_ARCH_AARCH64, SCMP_ARCH_ARM}})
    for (std::uint32_t action : {kAllow, SECCOMP_RET_ERRNO | 38u, std::uint32_t{SECCOMP_RET_TRAP}})
      compare({SECCOMP_RET_ERRNO | 1, architectures, {rule(names, action)}},
              {0, 1, 2, 5, 10, 21, 14});
  // Without "socketcall" itself, its functions are told apart.
  compare({SECCOMP_RET_ERRNO | 1, pc(), {rule({"socket", "recv", "shmat", "semop"}, kAllow)}},
          {0, 1, 2, 10, 21, 0x100000001});
}

void every_comparison_at_its_borders() {
  const std::uint64_t values[] = {
      0, 1, 40, 0x7fffffff, 0xffffffff, 0x100000000, 0x2000000010, 0x8000000000000000, UINT64_MAX};
  std::vector<std::uint64_t> arguments;
  for (std::uint64_t value : values)
    arguments.insert(arguments.end(), {value - 1, value, value + 1, value ^ 0x100000000});
  for (scmp_compare op :
       {SCMP_CMP_EQ, SCMP_CMP_NE, SCMP_CMP_LT, SCMP_CMP_LE, SCMP_CMP_GT, SCMP_CMP_GE})
    for (std::uint64_t value : values)
      compare({SECCOMP_RET_ERRNO | 1,
               {SCMP_ARCH_X86_64},
               {rule({"ioctl", "prctl"}, kAllow, {{1, op, value, 0}})}},
              arguments);
  for (std::uint64_t mask : {0x7e020000ull, 0xffffffff00000000ull, ~0ull, 0x8000000000000001ull})
    for (std::uint64_t want : {0ull, 0x20000ull, 0x100000000ull})
      compare({SECCOMP_RET_ERRNO | 1,
               {SCMP_ARCH_X86_64},
               {rule({"clone"}, kAllow, {{0, SCMP_CMP_MASKED_EQ, mask, want}})}},
              {0, 0x20000, 0x60000, 0x100000000, 0x100020000, ~0ull, 1});
}

void several_rules_for_one_call() {
  const std::vector<std::uint64_t> arguments{0, 1, 8, 0x20000, 0x20008, 0xffffffff, 40};
  compare({SECCOMP_RET_ERRNO | 1,
           {SCMP_ARCH_X86_64},
           {rule({"personality"}, kAllow, {{0, SCMP_CMP_EQ, 0, 0}}),
            rule({"personality"}, kAllow, {{0, SCMP_CMP_EQ, 8, 0}}),
            rule({"personality"}, kAllow, {{0, SCMP_CMP_EQ, 0x20000, 0}})}},
          arguments);
  // An unconditional rule wins over conditions, wherever it stands.
  compare({kAllow,
           {SCMP_ARCH_X86_64},
           {rule({"kill"}, SECCOMP_RET_TRAP, {{1, SCMP_CMP_EQ, 8, 0}}),
            rule({"kill"}, SECCOMP_RET_ERRNO | 5), rule({"read"}, SECCOMP_RET_ERRNO | 6),
            rule({"read"}, SECCOMP_RET_TRAP), rule({"write"}, SECCOMP_RET_ERRNO | 7),
            rule({"write"}, SECCOMP_RET_TRAP, {{0, SCMP_CMP_GT, 1, 0}})}},
          arguments);
  compare({SECCOMP_RET_ERRNO | 1,
           {SCMP_ARCH_X86_64},
           {rule({"mmap"}, kAllow, {{0, SCMP_CMP_GE, 1, 0}, {3, SCMP_CMP_LT, 40, 0}})}},
          arguments);
}

// As many names as a real profile has, each with its chance.
void profiles_by_chance() {
  ::srand(20);
  for (int round = 0; round < 20; ++round) {
    SeccompRule some = rule({}, kAllow), others = rule({}, SECCOMP_RET_ERRNO | 22);
    for (int number = 0; number < 460; ++number) {
      char* name = ::seccomp_syscall_resolve_num_arch(SCMP_ARCH_X86_64, number);
      if (name == nullptr) continue;
      int chance = ::rand() % 10;
      if (chance < 7)
        some.names.emplace_back(name);
      else if (chance < 8)
        others.names.emplace_back(name);
      ::free(name);
    }
    compare({SECCOMP_RET_ERRNO | 1, pc(), {some, others}}, {0, 1, 11});
  }
}

void newer_calls_are_unknown() {
  SeccompRules rules{SECCOMP_RET_ERRNO | 1, pc(), {rule({"read", "clone3"}, kAllow)}, true};
  auto program = compile_rules(rules);
  auto of = [&](std::uint32_t audit, std::uint32_t number) {
    return run(program, call(audit, number, 0));
  };
  CHECK(of(AUDIT_ARCH_X86_64, 0) == kAllow && of(AUDIT_ARCH_X86_64, 435) == kAllow);
  CHECK(of(AUDIT_ARCH_X86_64, 434) == (SECCOMP_RET_ERRNO | 1));
  CHECK(of(AUDIT_ARCH_X86_64, 436) == (SECCOMP_RET_ERRNO | 38));
  CHECK(of(AUDIT_ARCH_I386, 436) == (SECCOMP_RET_ERRNO | 38));
  CHECK(of(AUDIT_ARCH_X86_64, 0x40000000 | 436) == (SECCOMP_RET_ERRNO | 38));
  CHECK(of(AUDIT_ARCH_X86_64, 0x40000000 | 1) == (SECCOMP_RET_ERRNO | 1));
  CHECK(of(AUDIT_ARCH_X86_64, 0xffffffff) == (SECCOMP_RET_ERRNO | 1));
  CHECK(of(AUDIT_ARCH_ARM, 0) == SECCOMP_RET_KILL_THREAD);
}

std::string compile_error(const char* text) {
  auto document = json::parse(text);
  auto filter = compile_seccomp(*document, json::At{"linux.seccomp"});
  return filter ? "" : filter.error().text();
}

void mistakes_are_named() {
  CHECK_CONTAINS(compile_error(R"({"defaultAction": "SCMP_ACT_MAYBE"})"),
                 "linux.seccomp.defaultAction: must be a known action");
  CHECK_CONTAINS(compile_error(R"({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["Z80"]})"),
                 "linux.seccomp.architectures[0]");
  CHECK_CONTAINS(compile_error(R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
                     {"names": ["read"], "action": "SCMP_ACT_ERRNO",
                      "args": [{"index": 6, "value": 1, "op": "SCMP_CMP_EQ"}]}]})"),
                 "linux.seccomp.syscalls[0].args[0].index");
  CHECK_CONTAINS(compile_error(R"({"defaultAction": "SCMP_ACT_ALLOW", "flags": ["FAST"]})"),
                 "linux.seccomp.flags[0]");
  CHECK_EQUAL(compile_error(R"({"defaultAction": "SCMP_ACT_ALLOW",
                                "architectures": ["SCMP_ARCH_PPC64LE"]})"),
              "");
}

}  // namespace

int main() {
  names_on_every_architecture();
  every_comparison_at_its_borders();
  several_rules_for_one_call();
  profiles_by_chance();
  newer_calls_are_unknown();
  mistakes_are_named();
  return testing::result();
}
