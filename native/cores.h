// How many threads this process should use.
#pragma once

namespace axpy {

/// The cores that this process may use: its affinity mask, and the CPU quota of its cgroup. At least 1.
int availableCores();

}  // namespace axpy
