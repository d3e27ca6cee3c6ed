// ttrpc's framing and envelopes, without any I/O.
//
// frame = length BE32 · stream id BE32 · type · flags · payload (at most 4 MiB)
// Parser is fed bytes as they arrive and gives whole frames. A frame that is too long is reported
// once (kTooLong) and its payload is then skipped without being kept, so that the peer can be
// answered and the connection goes on.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace davit::ttrpc {

constexpr uint32_t kMaxPayload = 4 << 20;
constexpr size_t kHeader = 10;

enum class Type : uint8_t { kRequest = 1, kResponse = 2, kData = 3 };

// gRPC's codes, as far as we use them.
enum class Code : uint32_t {
  kOk = 0,
  kUnknown = 2,
  kInvalidArgument = 3,
  kDeadlineExceeded = 4,
  kNotFound = 5,
  kAlreadyExists = 6,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kFailedPrecondition = 9,
  kUnimplemented = 12,
  kInternal = 13,
  kUnavailable = 14,
};

struct Status {
  Code code = Code::kOk;
  std::string message;
};

struct Frame {
  uint32_t stream = 0;
  uint8_t type = 0;
  bool too_long = false;  // payload is empty: it was longer than kMaxPayload
  std::string_view payload;
};

class Parser {
 public:
  void feed(std::string_view bytes) { buffer_.append(bytes); }
  // The next whole frame; its payload is valid until the next call of next() or feed().
  std::optional<Frame> next();
  // True in the middle of a frame: the peer left without finishing it.
  bool partial() const { return buffer_.size() > used_ || skip_ > 0; }

 private:
  std::string buffer_;
  size_t used_ = 0;    // bytes of buffer_ that belong to frames already given out
  uint64_t skip_ = 0;  // bytes of a too long payload still to come
};

struct Request {
  std::string_view service;
  std::string_view method;
  std::string_view payload;
  int64_t timeout_nano = 0;
};

bool decode(std::string_view bytes, Request& out);
struct Response {
  Status status;
  std::string_view payload;
};
bool decode(std::string_view bytes, Response& out);

std::string request_frame(uint32_t stream, std::string_view service, std::string_view method,
                          std::string_view payload, int64_t timeout_nano);
std::string response_frame(uint32_t stream, const Status& status, std::string_view payload);

}  // namespace davit::ttrpc
