// Node-API on Windows. Elsewhere the loader finds it in whichever program loads the addon; there an import
// names a file, and that is node.exe only under Node. So each function is looked up in the program, and
// reached by a jump.
#if defined(_WIN32)

#include <windows.h>

#define X(NAME)                        \
  extern "C" FARPROC axpy_slot_##NAME; \
  FARPROC axpy_slot_##NAME;            \
  asm(".globl " #NAME "\n" #NAME ": jmp *axpy_slot_" #NAME "(%rip)\n");
#include "node-api-names.h"
#undef X

namespace {

/// Before anything of the addon is called. What a host lacks stays null, as do functions newer than the one
/// that is used.
const bool found = [] {
  const HMODULE host = GetModuleHandleA(nullptr);
#define X(NAME) axpy_slot_##NAME = GetProcAddress(host, #NAME);
#include "node-api-names.h"
#undef X
  return true;
}();

}  // namespace

#endif
