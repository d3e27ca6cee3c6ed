// The messages of containerd.task.v2/v3 and their neighbours, as far as the shim reads or writes
// them. decode_* return false for bytes that are not such a message; encode_* return its bytes.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace davit::wire {

struct Timestamp {  // zero = absent
  int64_t seconds = 0;
  int32_t nanos = 0;
  static Timestamp now();
  bool set() const { return seconds != 0 || nanos != 0; }
};

struct Any {
  std::string type_url;
  std::string value;
};

struct Mount {
  std::string type;
  std::string source;
  std::string target;
  std::vector<std::string> options;
};

struct StdioPaths {
  std::string in;
  std::string out;
  std::string err;
  bool terminal = false;
};

// containerd.v1.types.Status
enum class Status : uint32_t { kUnknown = 0, kCreated, kRunning, kStopped, kPaused, kPausing };

struct CreateTaskRequest {
  std::string id;
  std::string bundle;
  std::vector<Mount> rootfs;
  StdioPaths stdio;
  std::string checkpoint;
  Any options;
};

struct ExecProcessRequest {
  std::string id;
  std::string exec_id;
  StdioPaths stdio;
  Any spec;
};

// State, Start, Delete, Wait, Kill, ResizePty, CloseIO, Pids, Pause, Resume, Stats, Connect and
// Shutdown requests differ in a few scalars; one struct holds them, decoded per method.
struct ProcessRequest {
  std::string id;
  std::string exec_id;
  uint32_t signal = 0;
  bool all = false;
  bool stdin_ = false;
  bool now = false;
  uint32_t width = 0;
  uint32_t height = 0;
};

struct UpdateTaskRequest {
  std::string id;
  Any resources;
};

struct CheckpointTaskRequest {
  std::string id;
  std::string path;
  Any options;
};

// containerd.runc.v1.CheckpointOptions
struct CheckpointOptions {
  bool exit = false;
  bool open_tcp = false;
  bool external_unix_sockets = false;
  bool terminal = false;
  bool file_locks = false;
  std::vector<std::string> empty_namespaces;
  std::string image_path;
  std::string work_path;
  std::string parent_path;
};

// containerd.runc.v1.Options
struct RuncOptions {
  bool no_pivot_root = false;
  bool no_new_keyring = false;
  std::string shim_cgroup;
  uint32_t io_uid = 0;
  uint32_t io_gid = 0;
  std::string binary_name;
  std::string root;
  bool systemd_cgroup = false;
  std::string criu_work_path;
};

// containerd.runtime.bootstrap.v1.BootstrapParams
struct BootstrapParams {
  std::string instance_id;
  std::string namespace_;
  std::string ttrpc_address;
  struct Extension {
    Any value;
  };
  std::vector<Extension> extensions;
  std::string socket_dir;
};

struct State {
  std::string id;
  std::string bundle;
  uint32_t pid = 0;
  Status status = Status::kUnknown;
  StdioPaths stdio;
  uint32_t exit_status = 0;
  Timestamp exited_at;
  std::string exec_id;
};

struct ProcessInfo {
  uint32_t pid = 0;
  std::string exec_id;  // "" = not an exec's own process
};

bool decode(std::string_view bytes, Any& out);
bool decode(std::string_view bytes, CreateTaskRequest& out);
bool decode(std::string_view bytes, ExecProcessRequest& out);
bool decode(std::string_view bytes, UpdateTaskRequest& out);
bool decode(std::string_view bytes, CheckpointTaskRequest& out);
bool decode(std::string_view bytes, CheckpointOptions& out);
bool decode(std::string_view bytes, RuncOptions& out);
bool decode(std::string_view bytes, BootstrapParams& out);
bool decode(std::string_view bytes, BootstrapParams::Extension& out);

// Which scalars of ProcessRequest a method carries beside id = 1.
enum class Shape { kId, kProcess, kKill, kResize, kCloseIo, kShutdown };
bool decode(std::string_view bytes, Shape shape, ProcessRequest& out);

std::string encode(const Timestamp& value);
std::string encode(const Any& value);
std::string encode(const Mount& value);
std::string encode(const State& value);
std::string encode(const std::vector<ProcessInfo>& processes);  // PidsResponse
std::string encode_pid(uint32_t pid);                           // Create-, StartResponse
std::string encode_wait(uint32_t exit_status, const Timestamp& exited_at);
std::string encode_delete(uint32_t pid, uint32_t exit_status, const Timestamp& exited_at);
std::string encode_connect(uint32_t shim_pid, uint32_t task_pid, std::string_view version);

}  // namespace davit::wire
