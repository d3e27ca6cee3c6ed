// The v2 device controller is a BPF_PROG_TYPE_CGROUP_DEVICE program: it is given
// struct bpf_cgroup_dev_ctx {access_type, major, minor} and returns 1 to allow.
#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>

#include "native/kernel/fd.h"
#include "native/oci/cgroup/devices.h"

namespace davit::oci {
namespace {

constexpr char kName[] = "davit_devices";
constexpr __u8 kType = BPF_REG_2, kAccess = BPF_REG_3, kMajor = BPF_REG_4, kMinor = BPF_REG_5;

bpf_insn instruction(int code, __u8 dst, __u8 src, __s16 offset, __s32 value) {
  return {static_cast<__u8>(code), dst, src, offset, value};
}

void load_context(std::vector<bpf_insn>& program) {
  auto load = [&](__u8 reg, std::size_t offset) {
    program.push_back(
        instruction(BPF_LDX | BPF_MEM | BPF_W, reg, BPF_REG_1, static_cast<__s16>(offset), 0));
  };
  load(kType, offsetof(bpf_cgroup_dev_ctx, access_type));
  program.push_back(instruction(BPF_ALU | BPF_MOV | BPF_X, kAccess, kType, 0, 0));
  program.push_back(instruction(BPF_ALU | BPF_AND | BPF_K, kType, 0, 0, 0xffff));
  program.push_back(instruction(BPF_ALU | BPF_RSH | BPF_K, kAccess, 0, 0, 16));
  load(kMajor, offsetof(bpf_cgroup_dev_ctx, major));
  load(kMinor, offsetof(bpf_cgroup_dev_ctx, minor));
}

void return_value(std::vector<bpf_insn>& program, int value) {
  program.push_back(instruction(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, value));
  program.push_back(instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0));
}

int access_mask(const std::string& access) {
  int mask = 0;
  for (char c : access)
    mask |= c == 'r' ? BPF_DEVCG_ACC_READ : c == 'w' ? BPF_DEVCG_ACC_WRITE : BPF_DEVCG_ACC_MKNOD;
  return mask;
}

// "If the request is one of the rule's, return `verdict`", else fall through to the next rule.
void append_rule(std::vector<bpf_insn>& program, const DeviceRule& rule, int verdict) {
  std::vector<bpf_insn> tests;
  auto unless_equal = [&](__u8 reg, __s64 value) {
    tests.push_back(instruction(BPF_JMP | BPF_JNE | BPF_K, reg, 0, 0, static_cast<__s32>(value)));
  };
  if (rule.type != 'a')
    unless_equal(kType, rule.type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR);
  int mask = access_mask(rule.access);
  if (mask != 7) {
    // An allow rule must cover all that is asked for, a deny rule any of it.
    tests.push_back(instruction(BPF_ALU | BPF_MOV | BPF_X, BPF_REG_0, kAccess, 0, 0));
    tests.push_back(instruction(BPF_ALU | BPF_AND | BPF_K, BPF_REG_0, 0, 0, mask));
    if (verdict == 1)
      tests.push_back(instruction(BPF_JMP | BPF_JNE | BPF_X, BPF_REG_0, kAccess, 0, 0));
    else
      tests.push_back(instruction(BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_0, 0, 0, 0));
  }
  if (rule.major) unless_equal(kMajor, *rule.major);
  if (rule.minor) unless_equal(kMinor, *rule.minor);
  // Jumps go past the two instructions of the verdict.
  for (std::size_t i = 0; i < tests.size(); i++)
    if (BPF_CLASS(tests[i].code) == BPF_JMP)
      tests[i].off = static_cast<__s16>(tests.size() - i - 1 + 2);
  program.insert(program.end(), tests.begin(), tests.end());
  return_value(program, verdict);
}

int bpf(int command, bpf_attr* attributes) {
  return static_cast<int>(::syscall(SYS_bpf, command, attributes, sizeof *attributes));
}

Result<Fd> load_program(const std::vector<bpf_insn>& program) {
  bpf_attr attributes;
  std::memset(&attributes, 0, sizeof attributes);
  attributes.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
  attributes.insns = reinterpret_cast<__u64>(program.data());
  attributes.insn_cnt = static_cast<__u32>(program.size());
  attributes.license = reinterpret_cast<__u64>("GPL");
  std::memcpy(attributes.prog_name, kName, sizeof kName);
  Fd fd(bpf(BPF_PROG_LOAD, &attributes));
  if (!fd) return fail_errno("load the device filter");
  return fd;
}

// Our program that is attached to the cgroup itself, or an empty Fd. Others (systemd's, say) stay
// beside it: what one of them denies is denied.
Fd attached_program(int dir) {
  __u32 ids[64] = {};  // as many as the kernel lets be there
  bpf_attr attributes;
  std::memset(&attributes, 0, sizeof attributes);
  attributes.query.target_fd = static_cast<__u32>(dir);
  attributes.query.attach_type = BPF_CGROUP_DEVICE;
  attributes.query.prog_ids = reinterpret_cast<__u64>(ids);
  attributes.query.prog_cnt = sizeof ids / sizeof *ids;
  if (bpf(BPF_PROG_QUERY, &attributes) != 0) return Fd();
  for (__u32 i = 0, count = attributes.query.prog_cnt; i < count; i++) {
    std::memset(&attributes, 0, sizeof attributes);
    attributes.prog_id = ids[i];
    Fd program(bpf(BPF_PROG_GET_FD_BY_ID, &attributes));
    bpf_prog_info info;
    std::memset(&info, 0, sizeof info);
    std::memset(&attributes, 0, sizeof attributes);
    attributes.info.bpf_fd = static_cast<__u32>(program.get());
    attributes.info.info_len = sizeof info;
    attributes.info.info = reinterpret_cast<__u64>(&info);
    if (bpf(BPF_OBJ_GET_INFO_BY_FD, &attributes) == 0 && std::strcmp(info.name, kName) == 0)
      return program;
  }
  return Fd();
}

}  // namespace

Result<> apply_devices_v2(int dir, const DevicePolicy& policy) {
  std::vector<bpf_insn> program;
  load_context(program);
  for (const DeviceRule& rule : policy.exceptions)
    append_rule(program, rule, policy.allow_by_default ? 0 : 1);
  return_value(program, policy.allow_by_default ? 1 : 0);
  DAVIT_ASSIGN(Fd loaded, load_program(program));
  Fd old = attached_program(dir);
  bpf_attr attributes;
  std::memset(&attributes, 0, sizeof attributes);
  attributes.target_fd = static_cast<__u32>(dir);
  attributes.attach_bpf_fd = static_cast<__u32>(loaded.get());
  attributes.attach_type = BPF_CGROUP_DEVICE;
  attributes.attach_flags = BPF_F_ALLOW_MULTI;
  if (old) {
    attributes.attach_flags |= BPF_F_REPLACE;
    attributes.replace_bpf_fd = static_cast<__u32>(old.get());
  }
  if (bpf(BPF_PROG_ATTACH, &attributes) != 0) return fail_errno("attach the device filter");
  return {};
}

}  // namespace davit::oci
