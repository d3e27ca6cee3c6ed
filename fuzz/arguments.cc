// The shim's command line: one argument a line.
#include <string>
#include <vector>

#include "fuzz/target.h"
#include "shim/action/args.h"

using namespace davit;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view rest = fuzz::text_of(data, size);
  std::vector<std::string> words{"shim"};
  while (!rest.empty()) words.emplace_back(fuzz::cut(rest, '\n'));
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  (void)shim::parse_args(static_cast<int>(words.size()), argv.data());
  return 0;
}
