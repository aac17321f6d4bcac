/* One wall clock for all processes of a test, which the test moves.
 *
 * Preloaded (LD_PRELOAD), this adds the seconds that a shared file says to every reading of the wall clock. The file holds one
 * number of eight bytes, in the machine's order; it is mapped, so that a move is seen at once by everybody. Waits until a time of
 * the wall clock are translated back, since the kernel does not know of the moved one. The monotonic clock is left alone: timers,
 * time-outs and polls take the time they take.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* Deadlines beyond are of the wall clock: no machine has been up for 31 years. */
#define WALL_CLOCK_SECS 1000000000

static const volatile int64_t *ahead;

static int (*real_clock_gettime)(clockid_t, struct timespec *);
static int (*real_sem_timedwait)(sem_t *, const struct timespec *);
static int (*real_cond_timedwait)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);

__attribute__((constructor)) static void start(void) {
    const char *path = getenv("TIDEGATE_RIG_CLOCK");
    real_clock_gettime = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    real_sem_timedwait = (int (*)(sem_t *, const struct timespec *))dlsym(RTLD_NEXT, "sem_timedwait");
    real_cond_timedwait = (int (*)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *))dlsym(RTLD_NEXT, "pthread_cond_timedwait");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *page = file < 0 ? MAP_FAILED : mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
    if (file >= 0)
        close(file);
    /* A process with a clock of its own would be a wrong result that nobody sees. */
    if (page == MAP_FAILED) {
        fprintf(stderr, "the test's clock can't be read: `TIDEGATE_RIG_CLOCK` is `%s`\n", path ? path : "");
        _exit(111);
    }
    ahead = page;
}

static int64_t ahead_secs(void) {
    return ahead ? *ahead : 0;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    if (!real_clock_gettime)
        real_clock_gettime = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int done = real_clock_gettime(clock, now);
    if (done == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += ahead_secs();
    return done;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec exact;
    (void)zone;
    int done = clock_gettime(CLOCK_REALTIME, &exact);
    if (done == 0) {
        now->tv_sec = exact.tv_sec;
        now->tv_usec = exact.tv_nsec / 1000;
    }
    return done;
}

time_t time(time_t *kept) {
    struct timespec exact;
    if (clock_gettime(CLOCK_REALTIME, &exact) != 0)
        return -1;
    if (kept)
        *kept = exact.tv_sec;
    return exact.tv_sec;
}

int timespec_get(struct timespec *now, int base) {
    return base == TIME_UTC && clock_gettime(CLOCK_REALTIME, now) == 0 ? base : 0;
}

static struct timespec machines(const struct timespec *until) {
    struct timespec moved = *until;
    if (moved.tv_sec > WALL_CLOCK_SECS)
        moved.tv_sec -= ahead_secs();
    return moved;
}

int sem_timedwait(sem_t *semaphore, const struct timespec *until) {
    struct timespec moved = machines(until);
    return real_sem_timedwait(semaphore, &moved);
}

int pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex, const struct timespec *until) {
    struct timespec moved = machines(until);
    return real_cond_timedwait(condition, mutex, &moved);
}
