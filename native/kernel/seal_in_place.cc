// The entry of the programs that enter containers: before libc has started, the program's file is
// mapped anew through a read-only mount of it, and /proc/self/exe led there. That is what
// executing itself once more would do (sealed_self.cc still does, where this does not work), for a
// tenth of its time: no second start of libc, no address space to build and tear down.
//
// Nothing has been written yet, so there is no data to keep. Nothing of libc may be used: no
// errno, no memcpy. Any failure leaves a program that is not sealed, which running_sealed() tells.
#include <elf.h>
#include <fcntl.h>
#include <linux/prctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/syscall.h>

#include <cstdint>

#include "native/kernel/sealed_self.h"

extern "C" const Elf64_Ehdr __ehdr_start __attribute__((visibility("hidden")));

namespace davit::kernel {
namespace {

constexpr std::uintptr_t kPage = 4096;

long call(long number, long a, long b = 0, long c = 0, long d = 0, long e = 0, long f = 0) {
  register long r10 asm("r10") = d;
  register long r8 asm("r8") = e;
  register long r9 asm("r9") = f;
  long result;
  asm volatile("syscall"
               : "=a"(result)
               : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
               : "rcx", "r11", "memory");
  return result;
}
long address(const void* pointer) {
  return reinterpret_cast<long>(pointer);
}

// A descriptor that is none of the standard ones, which may be closed.
int above_standard(int fd) {
  if (fd < 0 || fd > 2) return fd;
  long copy = call(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 3);
  call(SYS_close, fd);
  return static_cast<int>(copy);
}

int detached_read_only_mount() {
  long tree =
      call(SYS_open_tree, AT_FDCWD, address("/proc/self/exe"), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
  int fd = above_standard(static_cast<int>(tree));
  if (fd < 0) return fd;
  struct mount_attr attr = {MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, 0, MS_PRIVATE,
                            0};
  if (call(SYS_mount_setattr, fd, address(""), AT_EMPTY_PATH, address(&attr), sizeof attr) == 0)
    return fd;
  call(SYS_close, fd);
  return -1;
}

int open_by_descriptor(int fd) {
  char path[32] = "/proc/self/fd/";
  char* end = path + sizeof "/proc/self/fd/" - 1;
  char digits[12];
  int count = 0;
  for (int rest = fd; rest != 0 || count == 0; rest /= 10)
    digits[count++] = static_cast<char>('0' + rest % 10);
  while (count > 0) *end++ = digits[--count];
  *end = '\0';
  return above_standard(
      static_cast<int>(call(SYS_openat, AT_FDCWD, address(path), O_RDONLY | O_CLOEXEC)));
}

int protection_of(const Elf64_Phdr& segment) {
  return ((segment.p_flags & PF_R) != 0 ? PROT_READ : 0) |
         ((segment.p_flags & PF_W) != 0 ? PROT_WRITE : 0) |
         ((segment.p_flags & PF_X) != 0 ? PROT_EXEC : 0);
}

// The same bytes at the same places, from `file`. What lies behind a segment's bytes in the file is
// not the program's: it begins as zeros.
bool map_again(int file, const Elf64_Phdr* segments, int count) {
  for (const Elf64_Phdr* one = segments; one != segments + count; ++one) {
    if (one->p_type != PT_LOAD) continue;
    std::uintptr_t begin = one->p_vaddr & ~(kPage - 1), end = one->p_vaddr + one->p_filesz;
    long mapped = call(SYS_mmap, static_cast<long>(begin), static_cast<long>(end - begin),
                       protection_of(*one), MAP_PRIVATE | MAP_FIXED, file,
                       static_cast<long>(one->p_offset - (one->p_vaddr - begin)));
    if (mapped != static_cast<long>(begin)) return false;
    if ((one->p_flags & PF_W) == 0) continue;
    for (std::uintptr_t at = end; (at & (kPage - 1)) != 0; ++at)
      *reinterpret_cast<volatile char*>(at) = 0;
  }
  return true;
}

// Has /proc/self/exe mean `file`; the kernel refuses while anything of the former file is mapped.
// All else is said as it is.
bool become(int file, char** stack, const Elf64_Phdr* segments, int count) {
  struct prctl_mm_map map = {};
  map.start_code = ~0ULL;
  for (const Elf64_Phdr* one = segments; one != segments + count; ++one) {
    if (one->p_type != PT_LOAD) continue;
    std::uint64_t end = one->p_vaddr + one->p_filesz;
    if ((one->p_flags & PF_X) != 0) {
      if (one->p_vaddr < map.start_code) map.start_code = one->p_vaddr;
      if (end > map.end_code) map.end_code = end;
    }
    if (one->p_vaddr > map.start_data) map.start_data = one->p_vaddr;
    if (end > map.end_data) map.end_data = end;
  }
  map.start_brk = map.brk = static_cast<std::uint64_t>(call(SYS_brk, 0));
  map.start_stack = reinterpret_cast<std::uintptr_t>(stack);
  auto argc = reinterpret_cast<std::uintptr_t>(stack[0]);
  char **env = stack + argc + 2, *end = stack[argc];
  while (*end++ != '\0') {
  }
  map.arg_start = reinterpret_cast<std::uintptr_t>(stack[1]);
  map.arg_end = map.env_start = map.env_end = reinterpret_cast<std::uintptr_t>(end);
  for (; *env != nullptr; ++env) {
    for (end = *env; *end++ != '\0';) {
    }
    map.env_end = reinterpret_cast<std::uintptr_t>(end);
  }
  map.exe_fd = static_cast<std::uint32_t>(file);
  return call(SYS_prctl, PR_SET_MM, PR_SET_MM_MAP, address(&map), sizeof map, 0) == 0;
}

}  // namespace

// `stack` as the kernel leaves it: argc, argv, a null, the environment, a null.
extern "C" void davit_before_libc(char** stack) {
  auto argc = static_cast<int>(reinterpret_cast<std::uintptr_t>(stack[0]));
  if (argc < 1 || __ehdr_start.e_type != ET_EXEC || !enters_containers(argc, stack + 1)) return;
  auto* segments = reinterpret_cast<const Elf64_Phdr*>(
      reinterpret_cast<const char*>(&__ehdr_start) + __ehdr_start.e_phoff);
  int count = __ehdr_start.e_phnum;
  int tree = detached_read_only_mount();
  if (tree < 0) return;
  int file = open_by_descriptor(tree);
  bool sealed =
      file >= 0 && map_again(file, segments, count) && become(file, stack, segments, count);
  if (file >= 0) call(SYS_close, file);
  if (sealed)
    seal_mount = tree;
  else
    call(SYS_close, tree);
}

}  // namespace davit::kernel

asm(R"(
  .text
  .globl davit_start
  .type davit_start, @function
davit_start:
  xor %ebp, %ebp
  mov %rsp, %rbx
  mov %rdx, %r12
  mov %rsp, %rdi
  and $-16, %rsp
  call davit_before_libc
  mov %rbx, %rsp
  mov %r12, %rdx
  jmp _start
  .size davit_start, . - davit_start
)");
