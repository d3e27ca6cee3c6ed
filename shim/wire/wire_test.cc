// Protobuf and ttrpc bytes: known encodings, round trips, and input made to break a parser.
#include <string>

#include "native/kernel/pb.h"
#include "shim/testing/check.h"
#include "shim/wire/messages.h"
#include "shim/wire/ttrpc.h"

using namespace davit;
using namespace std::string_literals;

namespace {

void test_known_bytes() {
  pb::Writer w;
  w.varint(1, 300);
  w.text(2, "hi");
  w.varint(3, 0);
  w.boolean(4, true);
  w.i64(5, -1);
  CHECK(w.data() == "\x08\xac\x02\x12\x02hi\x20\x01\x28\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"s);

  pb::Reader r(w.data());
  CHECK(r.next() && r.field() == 1 && r.u32() == 300);
  CHECK(r.next() && r.field() == 2 && r.string() == "hi");
  CHECK(r.next() && r.field() == 4 && r.boolean());
  CHECK(r.next() && r.field() == 5 && r.i64() == -1);
  CHECK(!r.next() && r.ok());
}

void test_skipped_fields() {
  // fixed64 field 1, fixed32 field 2, then field 3 = 7.
  const std::string bytes = "\x09\1\2\3\4\5\6\7\x08\x15\1\2\3\4\x18\7"s;
  pb::Reader r(bytes);
  CHECK(r.next() && r.field() == 1);
  CHECK(r.next() && r.field() == 2);
  CHECK(r.next() && r.field() == 3 && r.u32() == 7);
  CHECK(!r.next() && r.ok());
}

bool readable(const std::string& bytes) {
  pb::Reader r(bytes);
  while (r.next()) {
  }
  return r.ok();
}

void test_malformed() {
  CHECK(readable(""s));
  CHECK(!readable("\x08"s));  // no value
  CHECK(
      !readable("\x0a\x05"
                "abc"s));                                                 // shorter than it says
  CHECK(!readable("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"s));      // 2^64-1 bytes
  CHECK(!readable("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"s));  // 11-byte varint
  CHECK(!readable("\x00\x01"s));                                          // field 0
  CHECK(!readable("\x0b"s));                                              // groups are not spoken
  CHECK(!readable("\x09\1\2\3"s));                                        // short fixed64
  const std::string number = "\x08\x01"s;
  pb::Reader wrong(number);
  CHECK(wrong.next() && wrong.string().empty() && !wrong.ok());
  // Every prefix of a real message is either read or refused, never read past its end.
  wire::CreateTaskRequest request;
  pb::Writer w;
  w.text(1, "container");
  w.bytes(3, wire::encode(wire::Mount{"bind", "/a", "", {"ro", "rbind"}}));
  w.bytes(10, wire::encode(wire::Any{"containerd.runc.v1.Options", "\x08\x01"}));
  for (size_t i = 0; i <= w.data().size(); i++) {
    wire::CreateTaskRequest ignored;
    (void)wire::decode(std::string(w.data(), 0, i), ignored);
  }
  CHECK(wire::decode(w.data(), request));
  CHECK(request.id == "container" && request.rootfs.size() == 1);
  CHECK(request.rootfs[0].options.size() == 2 && request.rootfs[0].options[1] == "rbind");
  wire::RuncOptions options;
  CHECK(wire::decode(request.options.value, options) && options.no_pivot_root);
}

void test_utf8() {
  CHECK(pb::valid_utf8("caf\xc3\xa9 \xf0\x9f\x90\xb3") == "caf\xc3\xa9 \xf0\x9f\x90\xb3");
  CHECK(pb::valid_utf8("a\xff"
                       "b") == "a?b");
  CHECK(pb::valid_utf8("\xc0\x80") == "??");       // overlong
  CHECK(pb::valid_utf8("\xed\xa0\x80") == "???");  // surrogate
  CHECK(pb::valid_utf8("\xe2\x82") == "??");       // cut off
}

void test_request_shapes() {
  pb::Writer kill;
  kill.text(1, "c");
  kill.text(2, "e");
  kill.varint(3, 9);
  kill.boolean(4, true);
  wire::ProcessRequest out;
  CHECK(wire::decode(kill.data(), wire::Shape::kKill, out));
  CHECK(out.id == "c" && out.exec_id == "e" && out.signal == 9 && out.all);
  pb::Writer shutdown;
  shutdown.text(1, "c");
  shutdown.boolean(2, true);
  wire::ProcessRequest gone;
  CHECK(wire::decode(shutdown.data(), wire::Shape::kShutdown, gone) && gone.now);
  // A string where a number belongs.
  wire::ProcessRequest bad;
  CHECK(!wire::decode("\x1a\x01x"s, wire::Shape::kKill, bad));
}

void test_frames() {
  const std::string frame = ttrpc::request_frame(3, "svc", "Do", "payload", 5);
  ttrpc::Parser parser;
  for (size_t i = 0; i + 1 < frame.size(); i++) {
    parser.feed({&frame[i], 1});
    CHECK(!parser.next());
  }
  CHECK(parser.partial());
  parser.feed({&frame[frame.size() - 1], 1});
  const auto found = parser.next();
  CHECK(found && found->stream == 3 && found->type == 1 && !found->too_long);
  ttrpc::Request request;
  CHECK(found && ttrpc::decode(found->payload, request));
  CHECK(request.service == "svc" && request.method == "Do" && request.payload == "payload" &&
        request.timeout_nano == 5);
  CHECK(!parser.next() && !parser.partial());

  // Two in one piece.
  parser.feed(frame + frame);
  CHECK(parser.next().has_value());
  CHECK(parser.next().has_value());
  CHECK(!parser.next());
}

void test_too_long_frame() {
  ttrpc::Parser parser;
  // 4 MiB + 1, then a good frame.
  parser.feed("\x00\x40\x00\x01\x00\x00\x00\x05\x01\x00"s);
  const auto found = parser.next();
  CHECK(found && found->too_long && found->stream == 5 && found->payload.empty());
  const std::string piece(64 * 1024, 'x');
  for (int i = 0; i < 64; i++) {
    parser.feed(piece);
    CHECK(!parser.next());
  }
  parser.feed("x");
  parser.feed(ttrpc::request_frame(7, "s", "m", "", 0));
  const auto after = parser.next();
  CHECK(after && after->stream == 7 && !after->too_long);
}

void test_responses() {
  const std::string frame =
      ttrpc::response_frame(9, {ttrpc::Code::kNotFound, "process already finished: not found"}, "");
  ttrpc::Parser parser;
  parser.feed(frame);
  const auto found = parser.next();
  ttrpc::Response response;
  CHECK(found && found->type == 2 && ttrpc::decode(found->payload, response));
  CHECK(response.status.code == ttrpc::Code::kNotFound);
  CHECK(response.status.message == "process already finished: not found");
  CHECK(ttrpc::response_frame(1, {}, "") == "\0\0\0\0\0\0\0\1\2\0"s);
}

}  // namespace

int main() {
  test_known_bytes();
  test_skipped_fields();
  test_malformed();
  test_utf8();
  test_request_shapes();
  test_frames();
  test_too_long_frame();
  test_responses();
  return testing::result();
}
