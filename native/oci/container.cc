#include "native/oci/container.h"

namespace davit::oci {

struct Container::State {
  pid_t pid = -1;
  Fd pidfd, console;
  std::string bundle;
  std::vector<std::string> warnings;
};

static std::unexpected<Error> unfinished(const char* what) {
  return fail(ENOSYS, std::string(what));
}

Container::Container(std::unique_ptr<State> state) : state_(std::move(state)) {}
Container::~Container() = default;
Result<std::unique_ptr<Container>> Container::create(const CreateOptions&) {
  return unfinished("create");
}
Result<std::unique_ptr<Container>> Container::load(const std::string&) {
  return unfinished("load");
}
pid_t Container::pid() const {
  return state_->pid;
}
int Container::pidfd() const {
  return state_->pidfd.get();
}
Fd Container::take_console() {
  return std::move(state_->console);
}
const std::string& Container::bundle() const {
  return state_->bundle;
}
const std::vector<std::string>& Container::warnings() const {
  return state_->warnings;
}
Result<> Container::start() {
  return unfinished("start");
}
Result<Process> Container::exec(std::string_view, const Stdio&) {
  return unfinished("exec");
}
Result<> Container::kill(int) {
  return unfinished("kill");
}
Result<> Container::kill_all(int) {
  return unfinished("kill all");
}
Result<> Container::pause() {
  return unfinished("pause");
}
Result<> Container::resume() {
  return unfinished("resume");
}
Result<bool> Container::paused() const {
  return unfinished("paused");
}
Result<> Container::update(std::string_view) {
  return unfinished("update");
}
Result<std::vector<pid_t>> Container::pids() const {
  return unfinished("pids");
}
Result<Stats> Container::stats() const {
  return unfinished("stats");
}
Result<OomWatch> Container::oom_watch() const {
  return unfinished("oom watch");
}
Result<> Container::destroy() {
  return unfinished("destroy");
}
Result<std::uint64_t> OomWatch::read() const {
  return unfinished("oom watch");
}
Result<> destroy_left_behind(const std::string&, const std::string&) {
  return unfinished("destroy");
}

}  // namespace davit::oci
