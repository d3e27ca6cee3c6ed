// linux.seccomp: whatever profile is accepted becomes a program that the kernel's checker takes.
#include <linux/filter.h>

#include <cstring>

#include "fuzz/target.h"
#include "native/oci/seccomp.h"

using namespace davit;

namespace {

// Jumps stay inside and every path ends in a return.
void check_program(const std::vector<std::uint64_t>& program) {
  fuzz::claim(program.size() <= BPF_MAXINSNS);
  for (std::size_t at = 0; at < program.size(); ++at) {
    sock_filter one;
    static_assert(sizeof one == sizeof program[at]);
    std::memcpy(&one, &program[at], sizeof one);
    std::size_t left = program.size() - at - 1;
    if (BPF_CLASS(one.code) == BPF_RET) continue;
    fuzz::claim(left > 0);
    if (BPF_CLASS(one.code) != BPF_JMP) continue;
    if (BPF_OP(one.code) == BPF_JA)
      fuzz::claim(one.k < left);
    else
      fuzz::claim(one.jt < left && one.jf < left);
  }
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto document = oci::json::parse(fuzz::text_of(data, size));
  if (!document) return 0;
  auto filter = oci::compile_seccomp(*document, oci::json::At{"linux.seccomp"});
  if (filter) check_program(filter->program);
  return 0;
}
