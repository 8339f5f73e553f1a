/*
 * skew - a wall clock that is wrong, for processes under test: preloaded (LD_PRELOAD), it adds the seconds that the first eight
 * bytes of the file SKEW_FILE hold to CLOCK_REALTIME. The file is mapped: writing to it makes the clock jump at once, in
 * every thread. The monotonic clock is left alone, as a real jump leaves it. (libfaketime reads its file anew at each look at any
 * clock, which slows these processes down by more than their deadlines.)
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static _Atomic(const _Atomic int64_t *) skew_s;
static _Atomic(int (*)(clockid_t, struct timespec *)) real_clock_gettime;

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("SKEW_FILE");
	int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;

	atomic_store(&real_clock_gettime, (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime"));
	if (fd < 0)
		return;
	void *map = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0);
	if (map != MAP_FAILED)
		atomic_store(&skew_s, map);
	close(fd);
}

int clock_gettime(clockid_t which, struct timespec *out)
{
	if (atomic_load(&real_clock_gettime) == NULL) /* somebody's constructor came first */
		begin();
	const _Atomic int64_t *skew = atomic_load(&skew_s);
	int rv = atomic_load(&real_clock_gettime)(which, out);
	if (rv == 0 && skew != NULL && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE))
		out->tv_sec += atomic_load(skew);
	return rv;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone)
{
	struct timespec now;

	(void)zone;
	if (clock_gettime(CLOCK_REALTIME, &now) != 0)
		return -1;
	*out = (struct timeval){now.tv_sec, now.tv_nsec / 1000};
	return 0;
}

time_t time(time_t *out)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (out != NULL)
		*out = now.tv_sec;
	return now.tv_sec;
}
