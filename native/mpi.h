// An MPI library, opened at run time: whichever the job was started with. Nothing of MPI is needed to build,
// and a process that never asks for a world opens none.
//
// Three binary interfaces cover what clusters have. Their functions are the same, and take the same arguments
// at the level of the machine: a handle is a pointer to a symbol in Open MPI (4 and 5), a small integer in
// MPICH and what shares its ABI (MVAPICH, Intel MPI, Cray), a small integer in a pointer in the standard's
// own (MPI 5.0, chapter 20). Each fits in a register, so all of them pass as one type here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace axpy::mpi {

using Handle = uintptr_t;

/// What a receive tells, in the layout of whichever library it is.
struct alignas(8) Status {
  int words[16] = {};
};

/// The functions and constants of one library. A function returns 0 where all went well.
struct Library {
  std::string path;

  Handle world = 0, byte = 0, float32 = 0, float64 = 0, sum = 0, errorsReturn = 0;
  void* inPlace = nullptr;
  int anySource = 0, anyTag = 0, serialized = 0;
  /// Which word of a status says who sent a message.
  int sourceWord = 0;

  int (*initialized)(int* flag) = nullptr;
  int (*initThread)(int* argc, char*** argv, int required, int* provided) = nullptr;
  int (*finalize)() = nullptr;
  int (*abort)(Handle comm, int code) = nullptr;
  int (*commRank)(Handle comm, int* rank) = nullptr;
  int (*commSize)(Handle comm, int* size) = nullptr;
  int (*commDup)(Handle comm, Handle* copy) = nullptr;
  int (*commSetErrhandler)(Handle comm, Handle handler) = nullptr;
  int (*allgather)(const void* own, int count, Handle type, void* all, int each, Handle allType,
                   Handle comm) = nullptr;
  int (*iallgather)(const void* own, int count, Handle type, void* all, int each, Handle allType, Handle comm,
                    Handle* request) = nullptr;
  int (*iallreduce)(const void* own, void* result, int count, Handle type, Handle op, Handle comm,
                    Handle* request) = nullptr;
  int (*ibcast)(void* data, int count, Handle type, int root, Handle comm, Handle* request) = nullptr;
  int (*iscatterv)(const void* all, const int* counts, const int* places, Handle type, void* part, int count,
                   Handle partType, int root, Handle comm, Handle* request) = nullptr;
  int (*barrier)(Handle comm) = nullptr;
  int (*isend)(const void* data, int count, Handle type, int to, int tag, Handle comm,
               Handle* request) = nullptr;
  int (*recv)(void* data, int count, Handle type, int from, int tag, Handle comm, Status* status) = nullptr;
  int (*iprobe)(int from, int tag, Handle comm, int* flag, Status* status) = nullptr;
  int (*test)(Handle* request, int* flag, Status* status) = nullptr;
  int (*errorString)(int code, char* text, int* length) = nullptr;
  int (*getLibraryVersion)(char* text, int* length) = nullptr;
  int (*getProcessorName)(char* text, int* length) = nullptr;

  /// What an error code means, in the library's words.
  std::string describe(int code) const;
  /// Leaves the job without MPI_Finalize, where that does not end: false where it does. MPICH over UCX (4.0.2
  /// with UCX 1.13) waits there for ever, by TCP, for answers of a rank that has come further and answers
  /// nobody any more; 24 jobs of 30 did. So its launcher is told what MPI_Finalize would tell it last, in the
  /// words of PMI 1.1 (Balaji et al., "PMI: a scalable parallel process-management interface", EuroMPI 2010).
  bool leave() const;
  /// The first line of what the library says of itself.
  std::string version() const;
};

/// Why no library could be opened: what was tried, and what the system said.
struct Unavailable {
  std::string message;
};

/// The first of these files that can be opened and is an MPI. Throws Unavailable.
Library openLibrary(const std::vector<std::string>& paths);

}  // namespace axpy::mpi
