/* What the machine gives: multiply-add throughput, copy bandwidth, the price of a fresh page.
 *
 * Not a part of fastconv's kernels and not linked with anything: peak.py compiles it once per instruction set and runs
 * it. Usage: peak fma|copy|touch THREADS. Prints one number: GFLOP/s, GB/s copied (as much is read as written), or
 * microseconds for the first touch of a 4 KB page; the best of several trials. BYTES is the vector's width.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#ifdef _OPENMP
#include <omp.h>
#endif

#define TRIALS 7
#define CHAINS 12 /* independent sums: hides the latency of 4 cycles on 2 ports, and fits 16 registers */
#define STEPS 10000000L
#define COPY_BYTES (128L << 20)
#define TOUCH_BYTES (64L << 20)
#define PAGE 4096L

typedef float vector __attribute__((vector_size(BYTES)));

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec + 1e-9 * now.tv_nsec;
}

static volatile float decay = 0.999f, growth = 0.001f, sink;

static void multiply_add(void) {
    vector sums[CHAINS], scale = decay - (vector){0}, step = growth - (vector){0};
    for (int i = 0; i < CHAINS; i++) sums[i] = step * (float)i;
    for (long n = 0; n < STEPS; n++)
#pragma GCC unroll 12
        for (int i = 0; i < CHAINS; i++) sums[i] = sums[i] * scale + step;
    for (int i = 1; i < CHAINS; i++) sums[0] += sums[i];
    sink = sums[0][0];
}

static double fma_trial(int threads) {
    double start = seconds();
#pragma omp parallel num_threads(threads)
    multiply_add();
    return 2e-9 * threads * STEPS * CHAINS * (BYTES / sizeof(float)) / (seconds() - start);
}

static char *fresh(long bytes) {
    char *block = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED) exit(1);
    return block;
}

static double copy_trial(int threads) {
    static char *from, *to;
    if (!from) {
        from = fresh(COPY_BYTES), to = fresh(COPY_BYTES);
        memset(from, 1, COPY_BYTES), memset(to, 1, COPY_BYTES);
    }
    double start = seconds();
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int part = 0; part < threads; part++) {
        long bytes = COPY_BYTES / threads;
        memcpy(to + part * bytes, from + part * bytes, bytes);
    }
    return 1e-9 * COPY_BYTES / (seconds() - start);
}

static double touch_trial(int threads) {
    char *block = fresh(TOUCH_BYTES);
    double start = seconds();
#pragma omp parallel for num_threads(threads) schedule(static)
    for (long page = 0; page < TOUCH_BYTES / PAGE; page++) ((volatile char *)block)[page * PAGE] = 1;
    double spent = seconds() - start;
    munmap(block, TOUCH_BYTES);
    return 1e6 * spent / (TOUCH_BYTES / PAGE);
}

int main(int count, char **arguments) {
    if (count != 3) return 2;
    int threads = atoi(arguments[2]), low_is_best = !strcmp(arguments[1], "touch");
#ifndef _OPENMP
    threads = 1;
#endif
    double (*trial)(int) = !strcmp(arguments[1], "fma") ? fma_trial : low_is_best ? touch_trial : copy_trial;
    double best = trial(threads); /* the first wakes the threads */
    for (int i = 0; i < TRIALS; i++) {
        double value = trial(threads);
        if (low_is_best ? value < best : value > best) best = value;
    }
    printf("%.6g\n", best);
    return 0;
}
