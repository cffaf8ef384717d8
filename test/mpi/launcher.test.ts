/** Which launcher started a process, and whose MPI it then speaks. */
import { describe, expect, test } from 'vitest';
import { jobOf, settingsOf } from '../../lib/mpi/launcher.ts';

describe('what the environment says', () => {
  test.each([
    [
      "Open MPI's mpirun",
      { OMPI_COMM_WORLD_SIZE: '4', OMPI_COMM_WORLD_RANK: '1', PMIX_RANK: '1' },
      4,
      'libmpi.so.40',
    ],
    ["MPICH's mpiexec", { PMI_RANK: '0', PMI_SIZE: '2', MPI_LOCALNRANKS: '2' }, 2, 'libmpi.so.12'],
    ['Slurm with PMIx', { PMIX_RANK: '3', SLURM_NTASKS: '8' }, 8, 'libmpi.so.40'],
    ['Slurm with PMI 2', { PMI_RANK: '3', PMI_SIZE: '8', SLURM_NTASKS: '8' }, 8, 'libmpi.so.12'],
    ['Slurm alone', { SLURM_STEP_NUM_TASKS: '3' }, 3, 'libmpi.so.12'],
    ["Cray's", { PALS_RANKID: '0', PALS_SIZE: '16' }, 16, 'libmpi.so.12'],
    ['Flux', { FLUX_TASK_RANK: '2', FLUX_JOB_SIZE: '5' }, 5, 'libmpi.so.12'],
  ])('%s', (_, environment, size, first) => {
    const job = jobOf(environment, 'linux');
    expect([job?.size, job?.libraries[0]]).toEqual([size, first]);
    // Whatever comes first, all are tried.
    expect(job?.libraries).toEqual(
      expect.arrayContaining(['libmpi.so.40', 'libmpi.so.12', 'libmpich.so.12', 'libmpi_abi.so']),
    );
    expect(new Set(job?.libraries).size).toBe(job?.libraries.length);
  });

  test.each([
    ['nothing', {}],
    ['variables that are empty', { PMI_RANK: '', OMPI_COMM_WORLD_SIZE: '' }],
    ['a batch script of Slurm, whose step is of one task', { SLURM_STEP_NUM_TASKS: '1', SLURM_NTASKS: '64' }],
  ])('%s: a process of its own', (_, environment) => {
    expect(jobOf(environment, 'linux')).toBeUndefined();
  });

  test('a library that is named is the only one, whatever started the process', () => {
    expect(jobOf({}, 'linux', '/opt/mpi.so')).toEqual({
      launcher: 'AXPY_MPI',
      size: undefined,
      libraries: ['/opt/mpi.so'],
    });
    expect(jobOf({ PMI_RANK: '0', PMI_SIZE: '2' }, 'linux', 'x.so')?.libraries).toEqual(['x.so']);
  });

  test('macOS has its own names', () => {
    expect(jobOf({ PMI_RANK: '0' }, 'darwin')?.libraries[0]).toBe('libmpi.12.dylib');
  });
});

test('sums go around a ring where that is faster, by the names of each library', () => {
  expect(settingsOf(2)).not.toHaveProperty('MPIR_CVAR_IALLREDUCE_INTRA_ALGORITHM');
  expect(settingsOf(undefined)).not.toHaveProperty('MPIR_CVAR_IALLREDUCE_INTRA_ALGORITHM');
  expect(settingsOf(3).MPIR_CVAR_IALLREDUCE_INTRA_ALGORITHM).toBe('tsp_ring');
  expect(settingsOf(2).OMPI_MCA_coll_libnbc_iallreduce_algorithm).toBe('1');
});
