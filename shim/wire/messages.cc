#include "shim/wire/messages.h"

#include <time.h>

#include "native/kernel/pb.h"

namespace davit::wire {

using pb::Reader;
using pb::Writer;

Timestamp Timestamp::now() {
  timespec ts{};
  ::clock_gettime(CLOCK_REALTIME, &ts);
  return {ts.tv_sec, static_cast<int32_t>(ts.tv_nsec)};
}

namespace {

bool decode(std::string_view bytes, Mount& out);

bool take(Reader& r, std::string& out) {
  out = r.string();
  return true;
}

bool take(Reader& r, bool& out) {
  out = r.boolean();
  return true;
}

bool take(Reader& r, uint32_t& out) {
  out = r.u32();
  return true;
}

template <typename Message>
bool take(Reader& r, Message& out) {
  return decode(r.bytes(), out);
}

template <typename Item>
bool take(Reader& r, std::vector<Item>& out) {
  return take(r, out.emplace_back());
}

// A field of a message, and where its value goes.
template <typename Value>
struct Field {
  uint32_t number;
  Value& value;
};

template <typename... Value>
bool read(std::string_view bytes, Field<Value>... fields) {
  Reader r(bytes);
  bool good = true;
  while (good && r.next()) {
    ((r.field() == fields.number ? void(good = take(r, fields.value)) : void()), ...);
  }
  return good && r.ok();
}

bool decode(std::string_view bytes, Mount& out) {
  return read(bytes, Field{1, out.type}, Field{2, out.source}, Field{3, out.target},
              Field{4, out.options});
}

}  // namespace

bool decode(std::string_view bytes, Any& out) {
  return read(bytes, Field{1, out.type_url}, Field{2, out.value});
}

bool decode(std::string_view bytes, CreateTaskRequest& out) {
  return read(bytes, Field{1, out.id}, Field{2, out.bundle}, Field{3, out.rootfs},
              Field{4, out.stdio.terminal}, Field{5, out.stdio.in}, Field{6, out.stdio.out},
              Field{7, out.stdio.err}, Field{8, out.checkpoint}, Field{10, out.options});
}

bool decode(std::string_view bytes, ExecProcessRequest& out) {
  return read(bytes, Field{1, out.id}, Field{2, out.exec_id}, Field{3, out.stdio.terminal},
              Field{4, out.stdio.in}, Field{5, out.stdio.out}, Field{6, out.stdio.err},
              Field{7, out.spec});
}

bool decode(std::string_view bytes, UpdateTaskRequest& out) {
  return read(bytes, Field{1, out.id}, Field{2, out.resources});
}

bool decode(std::string_view bytes, CheckpointTaskRequest& out) {
  return read(bytes, Field{1, out.id}, Field{2, out.path}, Field{3, out.options});
}

bool decode(std::string_view bytes, CheckpointOptions& out) {
  return read(bytes, Field{1, out.exit}, Field{2, out.open_tcp},
              Field{3, out.external_unix_sockets}, Field{4, out.terminal}, Field{5, out.file_locks},
              Field{6, out.empty_namespaces}, Field{8, out.image_path}, Field{9, out.work_path},
              Field{10, out.parent_path});
}

bool decode(std::string_view bytes, RuncOptions& out) {
  return read(bytes, Field{1, out.no_pivot_root}, Field{2, out.no_new_keyring},
              Field{3, out.shim_cgroup}, Field{4, out.io_uid}, Field{5, out.io_gid},
              Field{6, out.binary_name}, Field{7, out.root}, Field{9, out.systemd_cgroup},
              Field{11, out.criu_work_path});
}

bool decode(std::string_view bytes, BootstrapParams::Extension& out) {
  return read(bytes, Field{1, out.value});
}

bool decode(std::string_view bytes, BootstrapParams& out) {
  return read(bytes, Field{1, out.instance_id}, Field{2, out.namespace_},
              Field{5, out.ttrpc_address}, Field{8, out.extensions}, Field{9, out.socket_dir});
}

bool decode(std::string_view bytes, Shape shape, ProcessRequest& out) {
  Reader r(bytes);
  while (r.next()) {
    if (r.field() == 1) {
      out.id = r.string();
    } else if (shape == Shape::kShutdown) {
      if (r.field() == 2) out.now = r.boolean();
    } else if (shape == Shape::kId) {
      continue;
    } else if (r.field() == 2) {
      out.exec_id = r.string();
    } else if (r.field() == 3) {
      if (shape == Shape::kKill) out.signal = r.u32();
      if (shape == Shape::kResize) out.width = r.u32();
      if (shape == Shape::kCloseIo) out.stdin_ = r.boolean();
    } else if (r.field() == 4) {
      if (shape == Shape::kKill) out.all = r.boolean();
      if (shape == Shape::kResize) out.height = r.u32();
    }
  }
  return r.ok();
}

std::string encode(const Timestamp& value) {
  Writer w;
  w.i64(1, value.seconds);
  w.i64(2, value.nanos);
  return w.take();
}

std::string encode(const Any& value) {
  Writer w;
  w.text(1, value.type_url);
  w.bytes(2, value.value);
  return w.take();
}

std::string encode(const Mount& value) {
  Writer w;
  w.text(1, value.type);
  w.text(2, value.source);
  w.text(3, value.target);
  for (const auto& option : value.options) w.bytes_always(4, pb::valid_utf8(option));
  return w.take();
}

std::string encode(const State& value) {
  Writer w;
  w.text(1, value.id);
  w.text(2, value.bundle);
  w.varint(3, value.pid);
  w.varint(4, static_cast<uint32_t>(value.status));
  w.text(5, value.stdio.in);
  w.text(6, value.stdio.out);
  w.text(7, value.stdio.err);
  w.boolean(8, value.stdio.terminal);
  w.varint(9, value.exit_status);
  if (value.exited_at.set()) w.bytes(10, encode(value.exited_at));
  w.text(11, value.exec_id);
  return w.take();
}

std::string encode(const std::vector<ProcessInfo>& processes) {
  Writer response;
  for (const auto& process : processes) {
    Writer info;
    info.varint(1, process.pid);
    if (!process.exec_id.empty()) {
      Writer details;
      details.text(1, process.exec_id);
      info.bytes(2, encode(Any{"containerd.runc.v1.ProcessDetails", details.take()}));
    }
    response.bytes_always(1, info.data());
  }
  return response.take();
}

std::string encode_pid(uint32_t pid) {
  Writer w;
  w.varint(1, pid);
  return w.take();
}

std::string encode_wait(uint32_t exit_status, const Timestamp& exited_at) {
  Writer w;
  w.varint(1, exit_status);
  if (exited_at.set()) w.bytes(2, encode(exited_at));
  return w.take();
}

std::string encode_delete(uint32_t pid, uint32_t exit_status, const Timestamp& exited_at) {
  Writer w;
  w.varint(1, pid);
  w.varint(2, exit_status);
  if (exited_at.set()) w.bytes(3, encode(exited_at));
  return w.take();
}

std::string encode_connect(uint32_t shim_pid, uint32_t task_pid, std::string_view version) {
  Writer w;
  w.varint(1, shim_pid);
  w.varint(2, task_pid);
  w.text(3, version);
  return w.take();
}

}  // namespace davit::wire
