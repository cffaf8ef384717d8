#include "mpi.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <utility>

#if !defined(_WIN32)
#include <dlfcn.h>
#include <unistd.h>
#endif

namespace axpy::mpi {

std::string Library::describe(int code) const {
  char text[8192] = {};
  int length = 0;
  if (errorString(code, text, &length) != 0) return "error " + std::to_string(code);
  return {text};
}

#if defined(_WIN32)

bool Library::leave() const { return false; }

#else

bool Library::leave() const {
  char text[8192] = {};
  int length = 0;
  if (getLibraryVersion(text, &length) != 0 || std::string(text).find("ch4:ucx") == std::string::npos) {
    return false;
  }
  const char* const descriptor = std::getenv("PMI_FD");
  if (!descriptor) return false;
  const int launcher = std::atoi(descriptor);
  const std::string command = "cmd=finalize\n";
  if (write(launcher, command.data(), command.size()) != static_cast<ssize_t>(command.size())) return false;
  // Whatever it answers, it has heard.
  std::array<char, 256> answer;
  return read(launcher, answer.data(), answer.size()) > 0;
}

#endif

std::string Library::version() const {
  char text[8192] = {};
  int length = 0;
  if (getLibraryVersion(text, &length) != 0) return path;
  std::string line(text);
  if (const size_t end = line.find('\n'); end != std::string::npos) line.resize(end);
  std::replace(line.begin(), line.end(), '\t', ' ');
  return line;
}

#if defined(_WIN32)

Library openLibrary(const std::vector<std::string>&) {
  throw Unavailable{"MPI is opened on Linux and macOS, not on Windows"};
}

#else

namespace {

/// Open MPI: a handle is the address of an object that the library exports.
bool readOpenMpi(void* file, Library& library) {
  const std::pair<const char*, Handle*> symbols[] = {
      {"ompi_mpi_comm_world", &library.world}, {"ompi_mpi_byte", &library.byte},
      {"ompi_mpi_float", &library.float32},    {"ompi_mpi_double", &library.float64},
      {"ompi_mpi_op_sum", &library.sum},       {"ompi_mpi_errors_return", &library.errorsReturn},
  };
  for (const auto& [name, handle] : symbols) {
    *handle = reinterpret_cast<Handle>(dlsym(file, name));
    if (*handle == 0) return false;
  }
  library.inPlace = reinterpret_cast<void*>(1);  // NOLINT(performance-no-int-to-ptr): as its header says
  library.anySource = -1;
  library.anyTag = -1;
  library.serialized = 2;
  library.sourceWord = 0;
  return true;
}

/// The standard's own: constants of MPI 5.0, A.3 of its text.
bool readStandard(void* file, Library& library) {
  int (*getVersion)(int* major, int* minor) = nullptr;
  getVersion = reinterpret_cast<decltype(getVersion)>(dlsym(file, "MPI_Abi_get_version"));
  // Libraries of MPI 5 with another interface have the function, too, which then says −1.
  int major = -1, minor = -1;
  if (!getVersion || getVersion(&major, &minor) != 0 || major < 1) return false;
  library.world = 0x101;
  library.byte = 0x247;
  library.float32 = 0x210;
  library.float64 = 0x214;
  library.sum = 0x21;
  library.errorsReturn = 0x142;
  library.inPlace = reinterpret_cast<void*>(1);  // NOLINT(performance-no-int-to-ptr)
  library.anySource = -1;
  library.anyTag = -2;
  library.serialized = 2048;
  library.sourceWord = 0;
  return true;
}

/// MPICH's, of the ABI Compatibility Initiative (2013): what is left.
void readMpich(Library& library) {
  library.world = 0x44000000;
  library.byte = 0x4c00010d;
  library.float32 = 0x4c00040a;
  library.float64 = 0x4c00080b;
  library.sum = 0x58000003;
  library.errorsReturn = 0x54000001;
  library.inPlace = reinterpret_cast<void*>(-1);  // NOLINT(performance-no-int-to-ptr)
  library.anySource = -2;
  library.anyTag = -1;
  library.serialized = 2;
  library.sourceWord = 2;
}

template <class Function>
void find(void* file, const std::string& path, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(file, name));
  if (!function) throw Unavailable{path + " has no " + name};
}

Library read(void* file, const std::string& path) {
  Library library;
  library.path = path;
  find(file, path, "MPI_Initialized", library.initialized);
  find(file, path, "MPI_Init_thread", library.initThread);
  find(file, path, "MPI_Finalize", library.finalize);
  find(file, path, "MPI_Abort", library.abort);
  find(file, path, "MPI_Comm_rank", library.commRank);
  find(file, path, "MPI_Comm_size", library.commSize);
  find(file, path, "MPI_Comm_dup", library.commDup);
  find(file, path, "MPI_Comm_set_errhandler", library.commSetErrhandler);
  find(file, path, "MPI_Allgather", library.allgather);
  find(file, path, "MPI_Iallgather", library.iallgather);
  find(file, path, "MPI_Iallreduce", library.iallreduce);
  find(file, path, "MPI_Ibcast", library.ibcast);
  find(file, path, "MPI_Iscatterv", library.iscatterv);
  find(file, path, "MPI_Barrier", library.barrier);
  find(file, path, "MPI_Isend", library.isend);
  find(file, path, "MPI_Recv", library.recv);
  find(file, path, "MPI_Iprobe", library.iprobe);
  find(file, path, "MPI_Test", library.test);
  find(file, path, "MPI_Error_string", library.errorString);
  find(file, path, "MPI_Get_library_version", library.getLibraryVersion);
  find(file, path, "MPI_Get_processor_name", library.getProcessorName);
  if (!readOpenMpi(file, library) && !readStandard(file, library)) readMpich(library);
  return library;
}

}  // namespace

Library openLibrary(const std::vector<std::string>& paths) {
  std::string failures;
  for (const std::string& path : paths) {
    // Its parts look for what it exports among what is there for all.
    void* const file = dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL);
    try {
      if (file) return read(file, path);
      const char* const why = dlerror();
      throw Unavailable{why ? why : path};
    } catch (const Unavailable& unavailable) {
      failures += (failures.empty() ? "" : "; ") + unavailable.message;
    }
  }
  throw Unavailable{failures};
}

#endif

}  // namespace axpy::mpi
