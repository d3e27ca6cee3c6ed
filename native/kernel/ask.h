// Asks many unix sockets at once, each one question: a connection, a frame there, a frame back.
// Blocks the calling thread; costs no more than the slowest of them, and that is bounded.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace davit::ask {

struct Question {
  std::string path;   // of the socket; an abstract one's name after `@`
  std::string frame;  // sent as it is
};

struct Answer {
  int error = 0;        // errno; ETIMEDOUT: silent, ECONNRESET: it hung up, EMSGSIZE: too long
  std::string payload;  // of the frame, without its header
};

// Frames are those of ttrpc: a header of 10 bytes that begins with the payload's length, big
// endian. Answers are in the order of the questions. `cancelled` is asked every 100 ms; once it is
// true, who has not answered yet has ECANCELED.
std::vector<Answer> all(const std::vector<Question>& questions, int timeout_ms,
                        const std::function<bool()>& cancelled);

}  // namespace davit::ask
