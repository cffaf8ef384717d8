/** What started this process as one of several, and which MPI library it then speaks. */

/** Variables of the environment, by name. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** The job that a launcher started. */
export interface Job {
  /** What started it, in words. */
  readonly launcher: string;
  /** How many processes it has, where the launcher says so. */
  readonly size: number | undefined;
  /** Files that may be its MPI, the likeliest first. */
  readonly libraries: readonly string[];
}

/** Names of MPI libraries, by whose interface they have. */
const files = {
  linux: {
    openMpi: ['libmpi.so.40'],
    // Debian's MPICH is not called as MVAPICH, Intel MPI and Cray's are.
    mpich: ['libmpi.so.12', 'libmpich.so.12', 'libmpi_intel.so.12', 'libmpi_cray.so.12'],
    standard: ['libmpi_abi.so.1', 'libmpi_abi.so.0', 'libmpi_abi.so'],
  },
  darwin: {
    openMpi: ['libmpi.40.dylib', '/opt/homebrew/lib/libmpi.40.dylib', '/usr/local/lib/libmpi.40.dylib'],
    mpich: ['libmpi.12.dylib', '/opt/homebrew/lib/libmpi.12.dylib', '/usr/local/lib/libmpi.12.dylib'],
    standard: ['libmpi_abi.1.dylib', 'libmpi_abi.0.dylib', 'libmpi_abi.dylib'],
  },
} as const;

type Family = keyof (typeof files)['linux'];

/**
 * Launchers by the variables that they set, with how many processes there are and whose library is the likeliest. Slurm and what
 * else speaks PMI starts the processes of any library.
 */
const launchers: readonly (readonly [name: string, mark: string, size: readonly string[], first: Family])[] =
  [
    ["Open MPI's mpirun", 'OMPI_COMM_WORLD_SIZE', ['OMPI_COMM_WORLD_SIZE'], 'openMpi'],
    ["Open MPI's mpirun", 'PMIX_RANK', ['OMPI_COMM_WORLD_SIZE', 'SLURM_NTASKS', 'SLURM_NPROCS'], 'openMpi'],
    ["MPICH's mpiexec", 'PMI_RANK', ['PMI_SIZE', 'SLURM_NTASKS'], 'mpich'],
    ["MPICH's mpiexec", 'MPI_LOCALRANKID', ['PMI_SIZE'], 'mpich'],
    ["Cray's launcher", 'PALS_RANKID', ['PALS_SIZE'], 'mpich'],
    ["Slurm's srun", 'SLURM_STEP_NUM_TASKS', ['SLURM_STEP_NUM_TASKS'], 'mpich'],
    ['Flux', 'FLUX_TASK_RANK', ['FLUX_JOB_SIZE'], 'mpich'],
  ];

/** What started this process; undefined where nothing tells of others. @param named the library that a user wants instead */
export function jobOf(environment: Environment, platform: string, named?: string): Job | undefined {
  const found = launchers.find(([, mark]) => environment[mark]);
  // In a step of Slurm's of one task, as that of a batch script, there is nobody else.
  const isAlone = found?.[1] === 'SLURM_STEP_NUM_TASKS' && environment[found[1]] === '1';
  if ((found === undefined || isAlone) && named === undefined) return undefined;
  const [launcher, , sizes, first] = found ?? ['AXPY_MPI', '', [], 'mpich'];
  const size = sizes.map((name) => Number(environment[name])).find((value) => value > 0);
  const own = files[platform === 'darwin' ? 'darwin' : 'linux'];
  const order = [first, 'openMpi', 'mpich', 'standard'] as const;
  const libraries = named === undefined ? [...new Set(order.flatMap((family) => [...own[family]]))] : [named];
  return { launcher, size, libraries };
}

/**
 * What MPI libraries are told by variables of the environment, before they are opened; what is set already stays. By name:
 *
 * - UCX, which MPICH and Open MPI may talk by, rewrites functions of the C library while it starts, to see memory come and go;
 *   other threads of this process run them at the time, and one process in twenty ended so (UCX 1.13). It does without where it
 *   is told to, and leaves signals to Node.
 * - Sums of much are fastest around a ring: each rank sends and receives 2·(n − 1)/n of it at one time. What Open MPI takes by
 *   itself for a sum that goes on in the background takes twice as long on two ranks (a reduction, then a broadcast), what MPICH
 *   takes up to twice as long on four and more.
 */
export function settingsOf(size: number | undefined): Readonly<Record<string, string>> {
  return {
    UCX_MEM_EVENTS: 'no',
    UCX_ERROR_SIGNALS: '',
    OMPI_MCA_coll_libnbc_iallreduce_algorithm: '1',
    ...(size !== undefined && size > 2 ? { MPIR_CVAR_IALLREDUCE_INTRA_ALGORITHM: 'tsp_ring' } : {}),
  };
}
