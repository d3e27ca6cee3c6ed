// Runs a bundle and prints how long each part took: for measuring and for trying things by hand.
//   oci_run BUNDLE [COUNT] [-- PROCESS.json to exec]
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "native/kernel/file.h"
#include "native/kernel/process.h"
#include "native/oci/container.h"

namespace {

using davit::Result;

double now_ms() {
  struct timespec now;
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}

Result<int> run(const std::string& bundle, const std::string& process) {
  double begin = now_ms();
  davit::oci::CreateOptions options;
  options.id = "oci-run-" + std::to_string(::getpid());
  options.bundle = bundle;
  options.stdio = {0, 1, 2};
  DAVIT_ASSIGN(auto container, davit::oci::Container::create(options));
  double created = now_ms();
  for (const std::string& warning : container->warnings())
    ::fprintf(stderr, "warning: %s\n", warning.c_str());
  if (auto started = container->start(); !started) {
    (void)davit::kernel::reap(container->pid());
    (void)container->destroy();
    return std::unexpected(started.error());
  }
  double running = now_ms();
  if (!process.empty()) {
    DAVIT_ASSIGN(std::string text, davit::kernel::read_file(-100, process.c_str()));
    auto exec = container->exec(text, {0, 1, 2});
    if (exec) {
      auto status = davit::kernel::reap(exec->pid);
      ::fprintf(stderr, "exec: status %x in %.2f ms\n", *status, now_ms() - running);
    } else {
      ::fprintf(stderr, "exec: %s\n", exec.error().text().c_str());
    }
    (void)container->kill(9);
  }
  DAVIT_ASSIGN(int status, davit::kernel::reap(container->pid()));
  double ended = now_ms();
  DAVIT_TRY(container->destroy());
  double gone = now_ms();
  ::fprintf(stderr, "create %.2f start %.2f run %.2f destroy %.2f total %.2f ms, status %x\n",
            created - begin, running - created, ended - running, gone - ended, gone - begin,
            status);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  int count = argc > 2 ? ::atoi(argv[2]) : 1, code = 0;
  for (int i = 0; i < count; ++i) {
    auto result = run(argv[1], argc > 4 ? argv[4] : "");
    if (!result) {
      ::fprintf(stderr, "%s\n", result.error().text().c_str());
      return 125;
    }
    code = *result;
  }
  return code;
}
