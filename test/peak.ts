import { readFileSync } from 'node:fs';

/**
 * The most memory that this process has had resident, in bytes.
 *
 * On Linux it is the kernel's `VmHWM`, not what `getrusage` says: a process that was made by `fork` inherits its parent's
 * maximum there, and the parent of a test's process is a worker of vitest that has run a hundred files.
 */
export const peakMemory = (): number =>
  process.platform === 'linux'
    ? Number(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'latin1'))?.[1]) * 1024
    : process.resourceUsage().maxRSS * 1024;
