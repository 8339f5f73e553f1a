#include "services/messaging/previews.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/ops/ops.h"

#define TURN_MS   3000  /* longer nobody waits for his turn: an upload without a preview is better than one that hangs */
#define LIFE_MS   10000 /* of one process; its time on a processor is bounded by itself */
#define LOOK_MS   10
#define SIDE_MOST 100000

struct previews {
	char program[PATH_MAX];
	int most;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int running;
};

/* Where the program is: beside ours, as it is installed. */
static bool find_program(const char *name, char out[PATH_MAX])
{
	if (strchr(name, '/') != NULL) {
		snprintf(out, PATH_MAX, "%s", name);
		return access(out, X_OK) == 0;
	}
	ssize_t n = readlink("/proc/self/exe", out, PATH_MAX - 1);
	out[n > 0 ? n : 0] = '\0';
	char *slash = strrchr(out, '/');
	size_t room = slash != NULL ? PATH_MAX - (size_t)(slash + 1 - out) : 0;
	if (slash != NULL && strlen(name) < room) {
		strcpy(slash + 1, name);
		if (access(out, X_OK) == 0)
			return true;
	}
	const char *paths = getenv("PATH");
	while (paths != NULL && *paths != '\0') {
		int length = (int)strcspn(paths, ":");
		snprintf(out, PATH_MAX, "%.*s/%s", length, paths, name);
		if (access(out, X_OK) == 0)
			return true;
		paths += length;
		paths += *paths == ':';
	}
	return false;
}

struct previews *previews_create(const char *program, int most)
{
	struct previews *p = calloc(1, sizeof *p);

	if (p == NULL)
		return NULL;
	pthread_mutex_init(&p->lock, NULL);
	clock_cond_init(&p->changed);
	p->most = most;
	if (!find_program(program, p->program)) {
		log_warn("no_previews", LOG_STR("program", program), LOG_STR("do", "install it, or set GUILDHALL_PREVIEWER"));
		p->program[0] = '\0';
	}
	return p;
}

void previews_destroy(struct previews *p)
{
	if (p == NULL)
		return;
	pthread_cond_destroy(&p->changed);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

static bool turn_begin(struct previews *p, int64_t until_mono_ms)
{
	const struct timespec until = {.tv_sec = until_mono_ms / 1000, .tv_nsec = until_mono_ms % 1000 * 1000000};
	bool mine;

	pthread_mutex_lock(&p->lock);
	while (p->running >= p->most && pthread_cond_timedwait(&p->changed, &p->lock, &until) != ETIMEDOUT)
		;
	mine = p->running < p->most;
	p->running += mine;
	pthread_mutex_unlock(&p->lock);
	return mine;
}

static void turn_end(struct previews *p)
{
	pthread_mutex_lock(&p->lock);
	p->running--;
	pthread_cond_signal(&p->changed);
	pthread_mutex_unlock(&p->lock);
}

/* With the picture as its input, `out` as its output, and nothing else of ours: no file, no environment, no blocked signals. */
static bool spawn(const char *program, int in, int out, pid_t *out_pid)
{
	char *const arguments[] = {"guildhall-preview", NULL}, *const environment[] = {NULL};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none;

	sigemptyset(&none);
	if (posix_spawn_file_actions_init(&actions) != 0)
		return false;
	if (posix_spawnattr_init(&attributes) != 0) {
		posix_spawn_file_actions_destroy(&actions);
		return false;
	}
	bool done = posix_spawnattr_setsigmask(&attributes, &none) == 0 &&
		    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK) == 0 &&
		    posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO) == 0 &&
		    posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO) == 0 &&
		    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0) == 0 &&
		    posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1) == 0 &&
		    posix_spawn(out_pid, program, &actions, &attributes, arguments, environment) == 0;
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return done;
}

/* Does it end by itself in time? */
static bool ends(pid_t pid, int64_t until_mono_ms)
{
	int fd = pidfd_open(pid, 0);
	struct pollfd end = {.fd = fd, .events = POLLIN};
	bool ended = false;
	int64_t left;

	while (!ended && (left = until_mono_ms - clock_mono_ms()) > 0) {
		siginfo_t what = {0};
		/* Some containers have no pidfds: then it is looked at again and again. */
		poll(&end, fd >= 0, fd >= 0 || left < LOOK_MS ? (int)left : LOOK_MS);
		ended = waitid(P_PID, (id_t)pid, &what, WEXITED | WNOHANG | WNOWAIT) == 0 && what.si_pid == pid;
	}
	if (fd >= 0)
		close(fd);
	return ended;
}

/* Waits for its end, or makes one. NULL: it ended well; else why not. */
static const char *await(pid_t pid, int64_t until_mono_ms)
{
	bool late = !ends(pid, until_mono_ms);
	int status = 0;

	if (late)
		kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (late)
		return "too slow";
	if (WIFSIGNALED(status))
		return "crashed";
	return WEXITSTATUS(status) == 0 ? NULL : "refused";
}

static bool read_all(int fd, void *bytes, size_t length, off_t at)
{
	for (size_t have = 0; have < length;) {
		ssize_t n = pread(fd, (char *)bytes + have, length - have, at + (off_t)have);
		if (n <= 0)
			return false;
		have += (size_t)n;
	}
	return true;
}

/* It is believed no more than its input is: whoever took it over can say what he likes, but only this. */
static bool read_answer(int fd, struct arena *mem, struct preview *out)
{
	struct preview_answer answer;
	struct stat found;

	if (fstat(fd, &found) != 0 || !read_all(fd, &answer, sizeof answer, 0) || answer.magic != PREVIEW_MAGIC ||
		answer.width == 0 || answer.width > SIDE_MOST || answer.height == 0 || answer.height > SIDE_MOST)
		return false;
	*out = (struct preview){.width = answer.width, .height = answer.height, .animated = answer.animated != 0};
	if (answer.format == PREVIEW_NONE)
		return true;
	if ((answer.format != PREVIEW_JPEG && answer.format != PREVIEW_GIF) || answer.length == 0 ||
		answer.length > PREVIEW_BYTES_MOST || (uint64_t)found.st_size != sizeof answer + answer.length ||
		answer.preview_width == 0 || answer.preview_width > SIDE_MOST || answer.preview_height == 0 ||
		answer.preview_height > SIDE_MOST)
		return false;
	out->bytes = arena_alloc(mem, answer.length);
	out->length = answer.length;
	out->mime = answer.format == PREVIEW_GIF ? "image/gif" : "image/jpeg";
	out->ext = answer.format == PREVIEW_GIF ? "gif" : "jpg";
	out->preview_width = answer.preview_width;
	out->preview_height = answer.preview_height;
	return read_all(fd, out->bytes, out->length, sizeof answer);
}

enum status previews_make(
	struct previews *p, struct arena *mem, int fd, uint64_t length, int64_t until_mono_ms, struct preview *out)
{
	int64_t began = clock_mono_ms();
	const char *why = "not started";
	pid_t pid = -1;

	if (p == NULL || p->program[0] == '\0')
		return STATUS_NOT_IMPLEMENTED;
	/* What is left must do for the rest of the upload. */
	until_mono_ms -= 1000;
	if (!turn_begin(p, began + TURN_MS < until_mono_ms ? began + TURN_MS : until_mono_ms)) {
		metric_add(previews_failed, 1);
		return STATUS_BUSY;
	}
	began = clock_mono_ms();
	int answer = memfd_create("preview", MFD_CLOEXEC);
	if (answer >= 0 && spawn(p->program, fd, answer, &pid))
		why = await(pid, began + LIFE_MS < until_mono_ms ? began + LIFE_MS : until_mono_ms);
	turn_end(p);
	if (why == NULL && !read_answer(answer, mem, out))
		why = "answered nonsense";
	if (answer >= 0)
		close(answer);
	if (why != NULL) {
		log_info("no_preview", LOG_STR("why", why), LOG_U64("bytes", length), LOG_I64("took_ms", clock_mono_ms() - began));
		metric_add(previews_failed, 1);
		return STATUS_BAD_MEDIA;
	}
	metric_add(previews_made, 1);
	return STATUS_OK;
}
