#include "native/oci/seccomp_program.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstddef>
#include <span>

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

// A rule as it says something about one system call of one architecture.
struct Saying {
  std::uint32_t number;
  int function;  // of socketcall(2) or ipc(2), whose first argument must be this; -1
  const SeccompRule* rule;

  bool conditional() const { return function >= 0 || !rule->conditions.empty(); }
};

// What the rules say, by number; of one number in their order.
class Table {
 public:
  Table(const Architecture& architecture, const SeccompRules& rules) {
    std::size_t names = 0;
    for (const SeccompRule& rule : rules.rules) names += rule.names.size();
    all_.reserve(names);
    for (const SeccompRule& rule : rules.rules)
      for (const std::string& name : rule.names) add(architecture.token, name, rule);
    std::stable_sort(all_.begin(), all_.end(),
                     [](const Saying& a, const Saying& b) { return a.number < b.number; });
  }

  const std::vector<Saying>& all() const { return all_; }

 private:
  void add(std::uint32_t token, const std::string& name, const SeccompRule& rule) {
    int number = ::seccomp_syscall_resolve_name_arch(token, name.c_str());
    if (number >= 0) return add_number(number, -1, rule);
    if (token != SCMP_ARCH_X86 || number == __NR_SCMP_ERROR) return;
    if (number < -100 && number > -200) {
      add_number(own_number(kSocketCalls, -number - 100), -1, rule);
      add_function(kSocketcall, -number - 100, rule);
    } else if (number < -200 && number > -300) {
      add_number(own_number(kIpcCalls, -number - 200), -1, rule);
      add_function(kIpc, -number - 200, rule);
    }
  }

  // The function's own arguments are in memory, out of a filter's sight: a rule about them says
  // nothing about the multiplexed form.
  void add_function(int number, int function, const SeccompRule& rule) {
    if (rule.conditions.empty()) add_number(number, function, rule);
  }

  void add_number(int number, int function, const SeccompRule& rule) {
    if (number >= 0) all_.push_back({static_cast<std::uint32_t>(number), function, &rule});
  }

  std::vector<Saying> all_;
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
void append_rule(Code& code, std::span<const scmp_arg_cmp> conditions, std::uint32_t action,
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

// System calls from `first` up to the next range's: `size` instructions from `code` on, or
// `action`.
struct Range {
  std::uint32_t first, action, code, size;
};

class Ranges {
 public:
  void add(std::uint32_t first, std::uint32_t action) {
    if (!all_.empty() && all_.back().first == first) all_.pop_back();
    if (!all_.empty() && all_.back().size == 0 && all_.back().action == action) return;
    all_.push_back({first, action, 0, 0});
  }

  void add_table(const Table& table, const SeccompRules& rules, const Architecture& architecture) {
    std::uint32_t base = architecture.token == SCMP_ARCH_X32 ? kX32Bit : 0;
    add(base, rules.default_action);
    const std::vector<Saying>& all = table.all();
    all_.reserve(all_.size() + all.size());
    for (auto begin = all.begin(), end = begin; begin != all.end(); begin = end) {
      end = std::find_if(begin, all.end(),
                         [&](const Saying& one) { return one.number != begin->number; });
      auto decides = std::find_if(begin, end, [](const Saying& one) { return !one.conditional(); });
      add(begin->number, decides == end ? rules.default_action : decides->rule->action);
      if (decides == end) add_conditional({begin, end}, rules.default_action, architecture.wide);
      add(begin->number + 1, rules.default_action);
    }
    if (rules.newer_are_enosys && !all.empty()) add(all.back().number + 1, kNoSuchCall);
  }

  // The search as instructions, the last one first: where a jump leads over is then known.
  void append_reversed(Code& out) const { append_reversed(0, all_.size(), out); }

 private:
  void add_conditional(std::span<const Saying> sayings, std::uint32_t otherwise, bool wide) {
    std::uint32_t number = sayings.front().number;
    if (all_.back().first != number) all_.push_back({number, otherwise, 0, 0});
    auto begin = static_cast<std::uint32_t>(code_.size());
    for (const Saying& one : sayings) {
      scmp_arg_cmp function{0, SCMP_CMP_EQ, static_cast<scmp_datum_t>(one.function), 0};
      if (one.function >= 0)
        append_rule(code_, {&function, 1}, one.rule->action, wide);
      else
        append_rule(code_, one.rule->conditions, one.rule->action, wide);
    }
    code_.push_back(give(otherwise));
    all_.back().code = begin;
    all_.back().size = static_cast<std::uint32_t>(code_.size()) - begin;
  }

  void append_reversed(std::size_t from, std::size_t to, Code& out) const {
    if (to - from == 1) {
      const Range& range = all_[from];
      if (range.size == 0) out.push_back(give(range.action));
      for (std::uint32_t i = range.size; i-- > 0;) out.push_back(code_[range.code + i]);
      return;
    }
    std::size_t middle = from + (to - from) / 2;
    append_reversed(middle, to, out);
    std::size_t behind = out.size();
    append_reversed(from, middle, out);
    // Goes on behind the left half, however long it is, from the middle on; else with it.
    std::size_t left = out.size() - behind;
    if (left <= 255) {
      out.push_back(jump(BPF_JGE, all_[middle].first, left, 0));
    } else {
      out.push_back(statement(BPF_JMP | BPF_JA, static_cast<std::uint32_t>(left)));
      out.push_back(jump(BPF_JGE, all_[middle].first, 0, 1));
    }
  }

  std::vector<Range> all_;
  Code code_;
};

// Appends it with the last instruction first.
void append_section(std::uint32_t audit, const SeccompRules& rules, Code& out) {
  Ranges ranges;
  auto wanted = [&](const Architecture& one) {
    return std::find(rules.architectures.begin(), rules.architectures.end(), one.token) !=
           rules.architectures.end();
  };
  for (const Architecture& one : kArchitectures) {
    if (one.audit != audit) continue;
    if (wanted(one))
      ranges.add_table(Table(one, rules), rules, one);
    else
      ranges.add(one.token == SCMP_ARCH_X32 ? kX32Bit : 0, kBadArchitecture);
  }
  // What a tracer writes to skip a call.
  ranges.add(kNoCall, rules.default_action);
  ranges.append_reversed(out);
  out.push_back(statement(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)));
}

}  // namespace

bool can_compile(const std::vector<std::uint32_t>& architectures) {
  return std::all_of(architectures.begin(), architectures.end(),
                     [](std::uint32_t token) { return find(token) != nullptr; });
}

std::vector<std::uint64_t> compile_rules(const SeccompRules& rules) {
  std::vector<std::uint32_t> sections;
  for (std::uint32_t token : rules.architectures)
    if (std::uint32_t audit = find(token)->audit;
        std::find(sections.begin(), sections.end(), audit) == sections.end())
      sections.push_back(audit);
  Code reversed{give(kBadArchitecture)};
  std::for_each(sections.rbegin(), sections.rend(), [&](std::uint32_t audit) {
    std::size_t behind = reversed.size();
    append_section(audit, rules, reversed);
    // To the section when it is this one, else behind it.
    auto size = static_cast<std::uint32_t>(reversed.size() - behind);
    reversed.push_back(statement(BPF_JMP | BPF_JA, size));
    reversed.push_back(jump(BPF_JEQ, audit, 1, 0));
  });
  reversed.push_back(statement(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch)));
  std::vector<std::uint64_t> program(reversed.size());
  std::copy(reversed.rbegin(), reversed.rend(), reinterpret_cast<sock_filter*>(program.data()));
  return program;
}

}  // namespace davit::oci
