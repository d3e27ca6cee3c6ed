// The own executable through a descriptor that nobody can use to change it: what a program that
// enters containers must run from (CVE-2019-5736).
#pragma once

#include "native/kernel/fd.h"
#include "native/kernel/result.h"

namespace davit::kernel {

// True when this process runs from a file that nobody can change.
bool running_sealed();

// Makes it so where it is not so yet: then the program begins once more, with `argv` and the
// environment that it has now.
Result<> run_sealed(char** argv);

// What a program with the entry of seal_in_place.cc says of itself: whether it is to be sealed,
// going by its arguments. Called before libc has started, so it may use nothing of that.
bool enters_containers(int argc, char** argv);

// The mount that such a program runs from, or -1. As long as it is open, letting it go is a matter
// of a moment; its last holder waits for all processors.
extern int seal_mount;
void let_go_of_seal();

}  // namespace davit::kernel
