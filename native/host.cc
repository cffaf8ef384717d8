// Node-API on Windows. Elsewhere the loader finds it in whichever program loads the addon; there an import
// names a file, and that is node.exe only under Node. So the pointers that an import would fill are filled
// here.
#if defined(_WIN32)

#include <windows.h>

#define X(NAME)                    \
  extern "C" FARPROC __imp_##NAME; \
  FARPROC __imp_##NAME;
#include "node-api-names.h"
#undef X

namespace {

HMODULE host() {
  const HMODULE program = GetModuleHandleA(nullptr);
  // Where Node is a library of the program.
  const HMODULE library = GetModuleHandleA("libnode.dll");
  return library && !GetProcAddress(program, "napi_create_function") ? library : program;
}

/// Before anything of the addon is called. What a host lacks stays null, as do functions newer than those in
/// use.
const bool found = [] {
  const HMODULE module = host();
#define X(NAME) __imp_##NAME = GetProcAddress(module, #NAME);
#include "node-api-names.h"
#undef X
  return true;
}();

}  // namespace

#endif
