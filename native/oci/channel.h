// What a starting process and its creator say to each other (over kernel::message).
#pragma once

#include <string>

#include "native/kernel/message.h"
#include "native/kernel/result.h"

namespace davit::oci {

enum Word : char {
  kEnded = 0,  // the other side is gone; for the creator also: execve has succeeded
  // From the process.
  kMapIds = 'U',    // write my id maps; answered by kGo
  kInitPid = 'I',   // from the helper: init's pid as text
  kRunHooks = 'H',  // run the hooks of the runtime; answered by kGo with the state
  kConsole = 'P',   // carries the pty's master
  kWarning = 'W',   // a text
  kListener = 'L',  // the number of the seccomp listener's descriptor; answered by kGo
  kReady = 'R',     // everything is done but the program
  kFailed = 'E',    // errno, a space, a text; the last word
  // From the creator.
  kJoin = 'J',   // the cgroups are there: carries the v1 files to write oneself to
  kGo = 'G',     // after kReady: the container is complete and may outlive its creator
  kStart = 'S',  // with the state for startContainer hooks
};

// The far end's failure as this end's.
Error failure_of(const std::string& text);
std::string failure_text(const Error& error);

// In the process: says a word that must be answered by kGo, and returns what came with it.
Result<std::string> ask(int socket, Word word);

}  // namespace davit::oci
