#include "shim/wire/ttrpc.h"

#include <algorithm>

#include "native/kernel/pb.h"

namespace davit::ttrpc {

namespace {

uint32_t be32(const char* at) {
  const auto* b = reinterpret_cast<const uint8_t*>(at);
  return uint32_t{b[0]} << 24 | uint32_t{b[1]} << 16 | uint32_t{b[2]} << 8 | b[3];
}

void put_be32(std::string& out, uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<char>(value >> shift));
}

std::string frame(uint32_t stream, Type type, std::string_view payload) {
  std::string out;
  out.reserve(kHeader + payload.size());
  put_be32(out, static_cast<uint32_t>(payload.size()));
  put_be32(out, stream);
  out.push_back(static_cast<char>(type));
  out.push_back(0);
  out.append(payload);
  return out;
}

}  // namespace

std::optional<Frame> Parser::next() {
  if (skip_ > 0) {
    const auto gone = static_cast<size_t>(std::min<uint64_t>(skip_, buffer_.size() - used_));
    used_ += gone;
    skip_ -= gone;
  }
  const size_t left = buffer_.size() - used_;
  const uint32_t size = left >= kHeader ? be32(buffer_.data() + used_) : 0;
  if (left >= kHeader && size > kMaxPayload) {
    const Frame found{
        be32(buffer_.data() + used_ + 4), static_cast<uint8_t>(buffer_[used_ + 8]), true, {}};
    used_ += kHeader;
    skip_ = size;
    return found;
  }
  if (left < kHeader || left - kHeader < size) {
    buffer_.erase(0, used_);
    used_ = 0;
    if (buffer_.empty()) buffer_.shrink_to_fit();
    return std::nullopt;
  }
  const char* at = buffer_.data() + used_;
  used_ += kHeader + size;
  return Frame{be32(at + 4), static_cast<uint8_t>(at[8]), false, {at + kHeader, size}};
}

bool decode(std::string_view bytes, Request& out) {
  pb::Reader r(bytes);
  while (r.next()) {
    switch (r.field()) {
      case 1:
        out.service = r.bytes();
        break;
      case 2:
        out.method = r.bytes();
        break;
      case 3:
        out.payload = r.bytes();
        break;
      case 4:
        out.timeout_nano = r.i64();
        break;
    }
  }
  return r.ok();
}

bool decode(std::string_view bytes, Response& out) {
  pb::Reader r(bytes);
  while (r.next()) {
    if (r.field() == 2) out.payload = r.bytes();
    if (r.field() != 1) continue;
    pb::Reader status(r.bytes());
    while (status.next()) {
      if (status.field() == 1) out.status.code = static_cast<Code>(status.u32());
      if (status.field() == 2) out.status.message = status.string();
    }
    if (!status.ok()) return false;
  }
  return r.ok();
}

std::string request_frame(uint32_t stream, std::string_view service, std::string_view method,
                          std::string_view payload, int64_t timeout_nano) {
  pb::Writer w;
  w.text(1, service);
  w.text(2, method);
  w.bytes(3, payload);
  w.i64(4, timeout_nano);
  return frame(stream, Type::kRequest, w.data());
}

std::string response_frame(uint32_t stream, const Status& status, std::string_view payload) {
  pb::Writer w;
  if (status.code != Code::kOk) {
    pb::Writer inner;
    inner.varint(1, static_cast<uint32_t>(status.code));
    inner.text(2, status.message);
    w.bytes(1, inner.data());
  }
  w.bytes(2, payload);
  return frame(stream, Type::kResponse, w.data());
}

}  // namespace davit::ttrpc
