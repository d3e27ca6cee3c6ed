#include "native/oci/seccomp_program.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstddef>
#include <map>

namespace davit::oci {
namespace {

using Code = std::vector<sock_filter>;

constexpr std::uint32_t kX32Bit = 0x40000000, kNoCall = 0xffffffff;
constexpr std::uint32_t kBadArchitecture = SECCOMP_RET_KILL_THREAD;
constexpr std::uint32_t kNoSuchCall = SECCOMP_RET_ERRNO | ENOSYS;

struct Architecture {
  std::uint32_t token, audit;
  bool wide;  // arguments have 64 bits
};
constexpr Architecture kArchitectures[] = {
    {SCMP_ARCH_X86_64, AUDIT_ARCH_X86_64, true}, {SCMP_ARCH_X32, AUDIT_ARCH_X86_64, false},
    {SCMP_ARCH_X86, AUDIT_ARCH_I386, false},     {SCMP_ARCH_AARCH64, AUDIT_ARCH_AARCH64, true},
    {SCMP_ARCH_ARM, AUDIT_ARCH_ARM, false},      {SCMP_ARCH_RISCV64, AUDIT_ARCH_RISCV64, true},
};

const Architecture* find(std::uint32_t token) {
  for (const Architecture& one : kArchitectures)
    if (one.token == token) return &one;
  return nullptr;
}

// 32-bit x86 has most socket and System V IPC calls twice: under a number of their own, and as a
// function of socketcall(2) or ipc(2), which libseccomp shows as -100 - function and -200 -
// function.
struct Multiplexed {
  int function, number;
};
constexpr int kSocketcall = 102, kIpc = 117;
constexpr Multiplexed kSocketCalls[] = {
    {1, 359},  {2, 361},  {3, 362},  {4, 363},  {6, 367},  {7, 368},
    {8, 360},  {11, 369}, {12, 371}, {13, 373}, {14, 366}, {15, 365},
    {16, 370}, {17, 372}, {18, 364}, {19, 337}, {20, 345},
};
constexpr Multiplexed kIpcCalls[] = {
    {2, 393},  {3, 394},  {11, 400}, {12, 401}, {13, 399},
    {14, 402}, {21, 397}, {22, 398}, {23, 395}, {24, 396},
};

template <std::size_t N>
int own_number(const Multiplexed (&calls)[N], int function) {
  for (const Multiplexed& one : calls)
    if (one.function == function) return one.number;
  return -1;
}

// What happens to one system call.
struct Verdict {
  std::vector<std::pair<std::vector<scmp_arg_cmp>, std::uint32_t>> conditional;
  bool decided = false;  // unconditionally
  std::uint32_t action = 0;
};

class Table {
 public:
  Table(const Architecture& architecture, const SeccompRules& rules) : wide_(architecture.wide) {
    for (const SeccompRule& rule : rules.rules)
      for (const std::string& name : rule.names) add(architecture.token, name, rule);
  }

  const std::map<std::uint32_t, Verdict>& calls() const { return calls_; }
  bool wide() const { return wide_; }

 private:
  void add(std::uint32_t token, const std::string& name, const SeccompRule& rule) {
    int number = ::seccomp_syscall_resolve_name_arch(token, name.c_str());
    if (number >= 0) return add_number(number, rule.conditions, rule.action);
    if (token != SCMP_ARCH_X86 || number == __NR_SCMP_ERROR) return;
    if (number < -100 && number > -200) {
      add_number(own_number(kSocketCalls, -number - 100), rule.conditions, rule.action);
      add_function(kSocketcall, -number - 100, rule);
    } else if (number < -200 && number > -300) {
      add_number(own_number(kIpcCalls, -number - 200), rule.conditions, rule.action);
      add_function(kIpc, -number - 200, rule);
    }
  }

  // The function's own arguments are in memory, out of a filter's sight: a rule about them says
  // nothing about the multiplexed form.
  void add_function(int number, int function, const SeccompRule& rule) {
    if (!rule.conditions.empty()) return;
    add_number(number, {{0, SCMP_CMP_EQ, static_cast<scmp_datum_t>(function), 0}}, rule.action);
  }

  void add_number(int number, const std::vector<scmp_arg_cmp>& conditions, std::uint32_t action) {
    if (number < 0) return;
    Verdict& verdict = calls_[static_cast<std::uint32_t>(number)];
    if (verdict.decided) return;
    if (conditions.empty()) {
      verdict.conditional.clear();
      verdict.decided = true;
      verdict.action = action;
    } else {
      verdict.conditional.emplace_back(conditions, action);
    }
  }

  std::map<std::uint32_t, Verdict> calls_;
  bool wide_;
};

sock_filter statement(int code, std::uint32_t k) {
  return {static_cast<std::uint16_t>(code), 0, 0, k};
}
sock_filter jump(int comparison, std::uint32_t k, std::size_t if_true, std::size_t if_false) {
  return {static_cast<std::uint16_t>(BPF_JMP | comparison | BPF_K),
          static_cast<std::uint8_t>(if_true), static_cast<std::uint8_t>(if_false), k};
}
sock_filter give(std::uint32_t action) {
  return statement(BPF_RET | BPF_K, action);
}

// Goes on after `skipped` instructions, however many, when the comparison holds; else at the next.
void jump_over(Code& code, int comparison, std::uint32_t k, std::size_t skipped) {
  if (skipped <= 255) {
    code.push_back(jump(comparison, k, skipped, 0));
    return;
  }
  code.push_back(jump(comparison, k, 0, 1));
  code.push_back(statement(BPF_JMP | BPF_JA, static_cast<std::uint32_t>(skipped)));
}

// Tests of a condition, each of which leads on, to `kPass` (behind the condition) or to `kFail`.
constexpr std::uint8_t kFail = 255, kPass = 254;

struct Words {
  std::uint32_t high, low;
};
Words words(std::uint64_t value) {
  return {static_cast<std::uint32_t>(value >> 32), static_cast<std::uint32_t>(value)};
}

class Condition {
 public:
  Condition(const scmp_arg_cmp& test, bool wide) : test_(test), wide_(wide) {}

  // The tests, with kPass made real; kFail is left for the rule.
  Code compile() {
    append_tests();
    for (std::size_t i = 0; i < code_.size(); ++i) {
      if (BPF_CLASS(code_[i].code) != BPF_JMP) continue;
      auto behind = static_cast<std::uint8_t>(code_.size() - i - 1);
      if (code_[i].jt == kPass) code_[i].jt = behind;
      if (code_[i].jf == kPass) code_[i].jf = behind;
    }
    return std::move(code_);
  }

 private:
  void append_tests() {
    Words want = words(test_.datum_a);
    switch (test_.op) {
      case SCMP_CMP_EQ:
        return equal(want, {kNoCall, kNoCall});
      case SCMP_CMP_MASKED_EQ:
        return equal(words(test_.datum_b & test_.datum_a), want);
      case SCMP_CMP_NE:
        if (wide_) high(jump(BPF_JEQ, want.high, 0, kPass));
        return low(jump(BPF_JEQ, want.low, kFail, 0));
      case SCMP_CMP_GT:
        return above(want, BPF_JGT);
      case SCMP_CMP_GE:
        return above(want, BPF_JGE);
      case SCMP_CMP_LT:
        return below(want, BPF_JGE);
      case SCMP_CMP_LE:
        return below(want, BPF_JGT);
      default:
        code_.push_back(jump(BPF_JEQ, 0, kFail, kFail));
    }
  }

  void load(bool high_word) {
    std::size_t offset = offsetof(seccomp_data, args) + 8 * test_.arg;
    bool second = high_word == (std::endian::native == std::endian::little);
    code_.push_back(
        statement(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(offset + (second ? 4 : 0))));
  }
  void high(sock_filter test) {
    load(true);
    code_.push_back(test);
  }
  void low(sock_filter test) {
    load(false);
    code_.push_back(test);
  }
  void equal(Words want, Words mask) {
    for (bool high_word : {true, false}) {
      if (high_word && !wide_) continue;
      load(high_word);
      std::uint32_t bits = high_word ? mask.high : mask.low;
      if (bits != kNoCall) code_.push_back(statement(BPF_ALU | BPF_AND | BPF_K, bits));
      code_.push_back(jump(BPF_JEQ, high_word ? want.high : want.low, 0, kFail));
    }
  }
  void above(Words want, int last) {
    if (wide_) {
      high(jump(BPF_JGT, want.high, kPass, 0));
      code_.push_back(jump(BPF_JEQ, want.high, 0, kFail));
    }
    low(jump(last, want.low, 0, kFail));
  }
  void below(Words want, int last) {
    if (wide_) {
      high(jump(BPF_JGT, want.high, kFail, 0));
      code_.push_back(jump(BPF_JEQ, want.high, 0, kPass));
    }
    low(jump(last, want.low, kFail, 0));
  }

  const scmp_arg_cmp& test_;
  bool wide_;
  Code code_;
};

// "If all hold, the action", else what follows.
void append_rule(Code& code, const std::vector<scmp_arg_cmp>& conditions, std::uint32_t action,
                 bool wide) {
  Code rule;
  for (const scmp_arg_cmp& one : conditions) {
    Code test = Condition(one, wide).compile();
    rule.insert(rule.end(), test.begin(), test.end());
  }
  rule.push_back(give(action));
  for (std::size_t i = 0; i < rule.size(); ++i) {
    if (BPF_CLASS(rule[i].code) != BPF_JMP) continue;
    auto behind = static_cast<std::uint8_t>(rule.size() - i - 1);
    if (rule[i].jt == kFail) rule[i].jt = behind;
    if (rule[i].jf == kFail) rule[i].jf = behind;
  }
  code.insert(code.end(), rule.begin(), rule.end());
}

// System calls from `first` up to the next range's.
struct Range {
  std::uint32_t first;
  Code code;
};

bool same(const Code& a, const Code& b) {
  return a.size() == 1 && b.size() == 1 && a.front().k == b.front().k;
}

class Ranges {
 public:
  void add(std::uint32_t first, Code code) {
    if (!all_.empty() && all_.back().first == first) all_.pop_back();
    if (!all_.empty() && same(all_.back().code, code)) return;
    all_.push_back({first, std::move(code)});
  }

  void add_table(const Table& table, const SeccompRules& rules, std::uint32_t base) {
    add(base, {give(rules.default_action)});
    for (const auto& [number, verdict] : table.calls()) {
      Code code;
      for (const auto& [conditions, action] : verdict.conditional)
        append_rule(code, conditions, action, table.wide());
      code.push_back(give(verdict.decided ? verdict.action : rules.default_action));
      add(number, std::move(code));
      add(number + 1, {give(rules.default_action)});
    }
    if (rules.newer_are_enosys && !table.calls().empty())
      add(table.calls().rbegin()->first + 1, {give(kNoSuchCall)});
  }

  Code search() const { return search(0, all_.size()); }

 private:
  Code search(std::size_t from, std::size_t to) const {
    if (to - from == 1) return all_[from].code;
    std::size_t middle = from + (to - from) / 2;
    Code left = search(from, middle), right = search(middle, to), code;
    jump_over(code, BPF_JGE, all_[middle].first, left.size());
    code.insert(code.end(), left.begin(), left.end());
    code.insert(code.end(), right.begin(), right.end());
    return code;
  }

  std::vector<Range> all_;
};

Code code_for(std::uint32_t audit, const SeccompRules& rules) {
  Ranges ranges;
  bool main = false, x32 = false;
  for (std::uint32_t token : rules.architectures) {
    const Architecture* one = find(token);
    main |= one->audit == audit && token != SCMP_ARCH_X32;
    x32 |= one->audit == audit && token == SCMP_ARCH_X32;
  }
  for (const Architecture& one : kArchitectures) {
    if (one.audit != audit) continue;
    bool wanted = one.token == SCMP_ARCH_X32 ? x32 : main;
    std::uint32_t base = one.token == SCMP_ARCH_X32 ? kX32Bit : 0;
    if (wanted)
      ranges.add_table(Table(one, rules), rules, base);
    else
      ranges.add(base, {give(kBadArchitecture)});
  }
  // What a tracer writes to skip a call.
  ranges.add(kNoCall, {give(rules.default_action)});
  Code code{statement(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr))};
  Code search = ranges.search();
  code.insert(code.end(), search.begin(), search.end());
  return code;
}

}  // namespace

bool can_compile(const std::vector<std::uint32_t>& architectures) {
  return std::all_of(architectures.begin(), architectures.end(),
                     [](std::uint32_t token) { return find(token) != nullptr; });
}

std::vector<std::uint64_t> compile_rules(const SeccompRules& rules) {
  Code code{statement(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch))};
  std::vector<std::uint32_t> done;
  for (std::uint32_t token : rules.architectures) {
    std::uint32_t audit = find(token)->audit;
    if (std::find(done.begin(), done.end(), audit) != done.end()) continue;
    done.push_back(audit);
    Code section = code_for(audit, rules);
    // To the section when it is this one, else behind it.
    code.push_back(jump(BPF_JEQ, audit, 1, 0));
    code.push_back(statement(BPF_JMP | BPF_JA, static_cast<std::uint32_t>(section.size())));
    code.insert(code.end(), section.begin(), section.end());
  }
  code.push_back(give(kBadArchitecture));
  std::vector<std::uint64_t> program(code.size());
  std::copy(code.begin(), code.end(), reinterpret_cast<sock_filter*>(program.data()));
  return program;
}

}  // namespace davit::oci
