// How long MPI takes to add up arrays of all ranks, beside what a ring of wires alone would take.
//
//     mpicc -O2 allreduce.c -o allreduce
//     hosts.sh run allreduce RATE DELAY [SECONDS [WAY…]]      bytes a second, seconds, for each figure
//
// Ways, as `wait 0 0.1 1 10 10x64`: `wait` is the call that waits; a number is the call that does not, asked
// for its end every so many milliseconds, in between which a rank sleeps, as one that computes on processors
// of its own; 10x64 asks 64 times then. Printed are medians of what the slowest rank took, in milliseconds,
// and how often the busiest one sent the array through its wire.
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { most = 25000000, runs = 21 };

static int by_time(const void* a, const void* b) {
  const double x = *(const double*)a, y = *(const double*)b;
  return (x > y) - (x < y);
}

// Bytes that this host has sent; 0 where it has no net0.
static double sent(void) {
  double bytes = 0;
  FILE* file = fopen("/sys/class/net/net0/statistics/tx_bytes", "r");
  if (file) {
    if (fscanf(file, "%lf", &bytes) != 1) bytes = 0;
    fclose(file);
  }
  return bytes;
}

static double once(const float* from, float* to, int length, const char* way) {
  MPI_Barrier(MPI_COMM_WORLD);
  const double start = MPI_Wtime();
  if (strcmp(way, "wait") == 0) {
    MPI_Allreduce(from, to, length, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
  } else {
    const char* several = strchr(way, 'x');
    const int tests = several ? atoi(several + 1) : 1;
    const struct timespec pause = {0, (long)(atof(way) * 1e6)};
    MPI_Request request;
    MPI_Iallreduce(from, to, length, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD, &request);
    for (;;) {
      int done = 0;
      for (int i = 0; i < tests && !done; i++) MPI_Test(&request, &done, MPI_STATUS_IGNORE);
      if (done) break;
      if (pause.tv_nsec > 0) nanosleep(&pause, NULL);
    }
  }
  double took = MPI_Wtime() - start, longest;
  MPI_Allreduce(&took, &longest, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
  return longest;
}

int main(int count, char** words) {
  MPI_Init(&count, &words);
  const double rate = count > 1 ? atof(words[1]) : 125e6, delay = count > 2 ? atof(words[2]) : 1e-4;
  const double seconds = count > 3 ? atof(words[3]) : 2;
  char* usual[] = {"wait", "0", "0.1", "1", "10", "10x64"};
  char** ways = count > 4 ? words + 4 : usual;
  const int number = count > 4 ? count - 4 : 6;
  int rank, ranks;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  const int bytes[] = {1000, 1000000, most};
  float* from = malloc(most);
  float* to = malloc(most);
  if (!from || !to) MPI_Abort(MPI_COMM_WORLD, 1);
  for (int i = 0; i < most / 4; i++) from[i] = (float)(rank + i % 7), to[i] = 0;
  if (rank == 0) {
    printf("%d ranks, %.0f Mbit/s, %.3f ms\n   bytes       ring", ranks, rate * 8e-6, delay * 1e3);
    for (int w = 0; w < number; w++) printf(" %10s       ", ways[w]);
    puts("");
  }
  for (int s = 0; s < 3; s++) {
    const int length = bytes[s] / 4;
    if (rank == 0)
      printf("%8d %10.3f", bytes[s], 2e3 * (ranks - 1) * (bytes[s] / (double)ranks / rate + delay));
    for (int w = 0; w < number; w++) {
      double times[runs];
      int done = 0, more = 1;
      once(from, to, length, ways[w]);  // connects, and opens TCP's windows
      const double begin = MPI_Wtime(), before = sent();
      while (more) {
        times[done++] = once(from, to, length, ways[w]);
        more = done < runs && MPI_Wtime() - begin < seconds;
        MPI_Bcast(&more, 1, MPI_INT, 0, MPI_COMM_WORLD);
      }
      double share = (sent() - before) / done / bytes[s], largest;
      MPI_Reduce(&share, &largest, 1, MPI_DOUBLE, MPI_MAX, 0, MPI_COMM_WORLD);
      for (int i = 0; i < length; i++) {
        const float sum = (float)(ranks * (ranks - 1) / 2 + ranks * (i % 7));
        if (to[i] != sum) {
          fprintf(stderr, "rank %d: element %d is %g, expected %g\n", rank, i, to[i], sum);
          MPI_Abort(MPI_COMM_WORLD, 1);
        }
        to[i] = 0;
      }
      qsort(times, (size_t)done, sizeof(double), by_time);
      if (rank == 0) printf(" %10.3f (%4.2f)", times[done / 2] * 1e3, largest), fflush(stdout);
    }
    if (rank == 0) puts("");
  }
  free(from);
  free(to);
  MPI_Finalize();
  return 0;
}
