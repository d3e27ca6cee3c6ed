#include "shim/wire/messages.h"

#include <time.h>

#include "shim/wire/pb.h"

namespace davit::wire {

using pb::Reader;
using pb::Writer;

Timestamp Timestamp::now() {
  timespec ts{};
  ::clock_gettime(CLOCK_REALTIME, &ts);
  return {ts.tv_sec, static_cast<int32_t>(ts.tv_nsec)};
}

namespace {

bool decode(std::string_view bytes, Mount& out) {
  Reader r(bytes);
  while (r.next()) {
    switch (r.field()) {
      case 1:
        out.type = r.string();
        break;
      case 2:
        out.source = r.string();
        break;
      case 3:
        out.target = r.string();
        break;
      case 4:
        out.options.push_back(r.string());
        break;
    }
  }
  return r.ok();
}

}  // namespace

bool decode(std::string_view bytes, Any& out) {
  Reader r(bytes);
  while (r.next()) {
    switch (r.field()) {
      case 1:
        out.type_url = r.string();
        break;
      case 2:
        out.value = r.string();
        break;
    }
  }
  return r.ok();
}

bool decode(std::string_view bytes, CreateTaskRequest& out) {
  Reader r(bytes);
  while (r.next()) {
    switch (r.field()) {
      case 1:
        out.id = r.string();
        break;
      case 2:
        out.bundle = r.string();
        break;
      case 3:
        if (!decode(r.bytes(), out.rootfs.emplace_back())) return false;
        break;
      case 4:
        out.stdio.terminal = r.boolean();
        break;
      case 5:
        out.stdio.in = r.string();
        break;
      case 6:
        out.stdio.out = r.string();
        break;
      case 7:
        out.stdio.err = r.string();
        break;
      case 8:
        out.checkpoint = r.string();
        break;
      case 10:
        if (!decode(r.bytes(), out.options)) return false;
        break;
    }
  }
  return r.ok();
}

bool decode(std::string_view bytes, ExecProcessRequest& out) {
  Reader r(bytes);
  while (r.next()) {
    switch (r.field()) {
      case 1:
        out.id = r.string();
        break;
      case 2:
        out.exec_id = r.string();
        break;
      case 3:
        out.stdio.terminal = r.boolean();
        break;
      case 4:
        out.stdio.in = r.string();
        break;
      case 5:
        out.stdio.out = r.string();
        break;
      case 6:
        out.stdio.err = r.string();
        break;
      case 7:
        if (!decode(r.bytes(), out.spec)) return false;
        break;
    }
  }
  return r.ok();
}

bool decode(std::string_view bytes, UpdateTaskRequest& out) {
  Reader r(bytes);
  while (r.next()) {
    switch (r.field()) {
      case 1:
        out.id = r.string();
        break;
      case 2:
        if (!decode(r.bytes(), out.resources)) return false;
        break;
    }
  }
  return r.ok();
}

bool decode(std::string_view bytes, CheckpointTaskRequest& out) {
  Reader r(bytes);
  while (r.next()) {
    switch (r.field()) {
      case 1:
        out.id = r.string();
        break;
      case 2:
        out.path = r.string();
        break;
      case 3:
        if (!decode(r.bytes(), out.options)) return false;
        break;
    }
  }
  return r.ok();
}

bool decode(std::string_view bytes, CheckpointOptions& out) {
  Reader r(bytes);
  while (r.next()) {
    switch (r.field()) {
      case 1:
        out.exit = r.boolean();
        break;
      case 2:
        out.open_tcp = r.boolean();
        break;
      case 3:
        out.external_unix_sockets = r.boolean();
        break;
      case 4:
        out.terminal = r.boolean();
        break;
      case 5:
        out.file_locks = r.boolean();
        break;
      case 6:
        out.empty_namespaces.push_back(r.string());
        break;
      case 8:
        out.image_path = r.string();
        break;
      case 9:
        out.work_path = r.string();
        break;
      case 10:
        out.parent_path = r.string();
        break;
    }
  }
  return r.ok();
}

bool decode(std::string_view bytes, RuncOptions& out) {
  Reader r(bytes);
  while (r.next()) {
    switch (r.field()) {
      case 1:
        out.no_pivot_root = r.boolean();
        break;
      case 2:
        out.no_new_keyring = r.boolean();
        break;
      case 3:
        out.shim_cgroup = r.string();
        break;
      case 4:
        out.io_uid = r.u32();
        break;
      case 5:
        out.io_gid = r.u32();
        break;
      case 6:
        out.binary_name = r.string();
        break;
      case 7:
        out.root = r.string();
        break;
      case 9:
        out.systemd_cgroup = r.boolean();
        break;
      case 11:
        out.criu_work_path = r.string();
        break;
    }
  }
  return r.ok();
}

bool decode(std::string_view bytes, BootstrapParams& out) {
  Reader r(bytes);
  while (r.next()) {
    switch (r.field()) {
      case 1:
        out.instance_id = r.string();
        break;
      case 2:
        out.namespace_ = r.string();
        break;
      case 3:
        out.log_level = static_cast<int32_t>(r.varint());
        break;
      case 5:
        out.ttrpc_address = r.string();
        break;
      case 6:
        out.grpc_address = r.string();
        break;
      case 8: {
        Reader extension(r.bytes());
        while (extension.next()) {
          if (extension.field() != 1) continue;
          if (!decode(extension.bytes(), out.extensions.emplace_back())) return false;
        }
        if (!extension.ok()) return false;
        break;
      }
      case 9:
        out.socket_dir = r.string();
        break;
    }
  }
  return r.ok();
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
