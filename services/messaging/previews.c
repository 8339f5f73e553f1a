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
#include "services/messaging/file_store.h"

#define LIFE_MS    10000 /* of one process; its time on a processor is bounded by itself */
#define REST_MS    1000  /* what is left of the caller's time for the rest of the upload */
#define LOOK_MS    10
#define SIDE_MOST  100000
#define HOLD_BYTES ((size_t)64 << 10)

/* What the program is started for. Each has turns of its own: pictures that take long keep nobody from having his stripped. */
enum deed { PREVIEW, STRIP, DEEDS };
static const struct {
	const char *argument, *failed; /* an event of the log */
	int64_t turn_ms;               /* longer nobody waits for his turn */
} deeds[DEEDS] = {
	/* An upload without a preview is better than one that hangs. */
	[PREVIEW] = {NULL, "no_preview", 3000},
	[STRIP] = {STRIP_ARGUMENT, "not_stripped", 8000},
};

struct previews {
	char program[PATH_MAX];
	int most;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int running[DEEDS];
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
		log_warn("no_previews", LOG_STR("program", program), LOG_STR("do", "install it, or set GUILDHALL_PREVIEWER; without it images are taken only with GUILDHALL_KEEP_METADATA=1"));
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

static bool turn_begin(struct previews *p, enum deed deed, int64_t until_mono_ms)
{
	const struct timespec until = {.tv_sec = until_mono_ms / 1000, .tv_nsec = until_mono_ms % 1000 * 1000000};
	bool mine;

	pthread_mutex_lock(&p->lock);
	while (p->running[deed] >= p->most && pthread_cond_timedwait(&p->changed, &p->lock, &until) != ETIMEDOUT)
		;
	mine = p->running[deed] < p->most;
	p->running[deed] += mine;
	pthread_mutex_unlock(&p->lock);
	return mine;
}

static void turn_end(struct previews *p, enum deed deed)
{
	pthread_mutex_lock(&p->lock);
	p->running[deed]--;
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
}

/* A copy of it that nobody can change; -1: there is none. */
static int hold(const struct picture *picture)
{
	char *bytes = malloc(HOLD_BYTES);
	int fd = memfd_create("picture", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	uint64_t have = 0;
	size_t n = 1;

	while (bytes != NULL && fd >= 0 && n > 0 && have < picture->bytes) {
		if (file_fetch(picture->store, picture->upload, have, bytes, HOLD_BYTES, &n) != STATUS_OK ||
			pwrite(fd, bytes, n, (off_t)have) != (ssize_t)n)
			n = 0;
		have += n;
	}
	free(bytes);
	if (fd >= 0 && (have != picture->bytes ||
			       fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) != 0)) {
		close(fd);
		return -1;
	}
	return fd;
}

/* With the picture as its input, `out` as its output, and nothing else of ours: no file, no environment, no blocked signals. */
static bool spawn(const char *program, const char *argument, int in, int out, pid_t *out_pid)
{
	char *const arguments[] = {"guildhall-preview", (char *)argument, NULL}, *const environment[] = {NULL};
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

static const char refused[] = "refused";

/* Waits for its end, or makes one. NULL: it ended well; else why not, `refused` when it can do nothing with the picture. */
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
	return WEXITSTATUS(status) == 0 ? NULL : WEXITSTATUS(status) == 1 ? refused : "no sandbox or no memory";
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
static bool read_preview(int fd, struct arena *mem, struct preview *out)
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

/* Only bytes of the picture, in their order, and few others. */
static bool pieces_fit(const struct strip_answer *answer, const struct strip_piece *pieces, uint64_t picture, uint64_t *out_bytes)
{
	uint64_t total = 0, end = 0;

	for (uint32_t i = 0; i < answer->count; i++) {
		bool made = pieces[i].at >= STRIP_MADE;
		uint64_t at = made ? pieces[i].at - STRIP_MADE : pieces[i].at, most = made ? answer->made_length : picture;
		if (at > most || pieces[i].length > most - at || (!made && at < end))
			return false;
		end = made ? end : at + pieces[i].length;
		total += pieces[i].length;
	}
	*out_bytes = total;
	return total > 0 && total <= picture + STRIP_MADE_MOST;
}

static bool read_stripped(int fd, struct arena *mem, uint64_t picture, struct stripped *out)
{
	struct strip_answer *answer = ARENA_NEW(mem, struct strip_answer);
	struct stat found;

	if (fstat(fd, &found) != 0 || !read_all(fd, answer, sizeof *answer, 0) || answer->magic != STRIP_MAGIC ||
		answer->count > STRIP_PIECES_MOST || answer->made_length > STRIP_MADE_MOST)
		return false;
	size_t length = answer->count * sizeof(struct strip_piece);
	struct strip_piece *pieces = ARENA_ARRAY(mem, answer->count, struct strip_piece);
	if ((uint64_t)found.st_size != sizeof *answer + length || !read_all(fd, pieces, length, sizeof *answer))
		return false;
	*out = (struct stripped){.pieces = pieces, .count = answer->count, .made = answer->made};
	return pieces_fit(answer, pieces, picture, &out->bytes);
}

/* NULL: it has said something, to be read from *out_answer; else why not. The caller closes it. */
static const char *run(struct previews *p, enum deed deed, const struct picture *picture, int64_t until_mono_ms, int *out_answer)
{
	const char *why = "not started";
	pid_t pid = -1;

	int64_t turn_ends = clock_mono_ms() + deeds[deed].turn_ms;
	if (!turn_begin(p, deed, turn_ends < until_mono_ms ? turn_ends : until_mono_ms))
		return "too many";
	int64_t life_ends = clock_mono_ms() + LIFE_MS;
	int in = hold(picture);
	*out_answer = memfd_create("preview", MFD_CLOEXEC);
	if (in >= 0 && *out_answer >= 0 && spawn(p->program, deeds[deed].argument, in, *out_answer, &pid))
		why = await(pid, life_ends < until_mono_ms ? life_ends : until_mono_ms);
	if (in >= 0)
		close(in);
	turn_end(p, deed);
	return why;
}

/* out: of the deed's own kind. */
static enum status done(struct previews *p, struct arena *mem, enum deed deed, const struct picture *picture, int64_t until_mono_ms,
	void *out)
{
	int64_t began = clock_mono_ms();
	int answer = -1;

	if (p == NULL || p->program[0] == '\0')
		return STATUS_NOT_IMPLEMENTED;
	const char *why = run(p, deed, picture, until_mono_ms - REST_MS, &answer);
	if (why == NULL && !(deed == PREVIEW ? read_preview(answer, mem, out) : read_stripped(answer, mem, picture->bytes, out)))
		why = "answered nonsense";
	if (answer >= 0)
		close(answer);
	if (why == NULL)
		return STATUS_OK;
	log_info(deeds[deed].failed, LOG_STR("why", why), LOG_U64("bytes", picture->bytes), LOG_I64("took_ms", clock_mono_ms() - began));
	return why == refused ? STATUS_BAD_MEDIA : STATUS_BUSY;
}

enum status previews_make(
	struct previews *p, struct arena *mem, const struct picture *picture, int64_t until_mono_ms, struct preview *out)
{
	enum status st = done(p, mem, PREVIEW, picture, until_mono_ms, out);

	metric_add(previews_made, st == STATUS_OK);
	metric_add(previews_failed, st != STATUS_OK && st != STATUS_NOT_IMPLEMENTED);
	return st;
}

enum status previews_strip(
	struct previews *p, struct arena *mem, const struct picture *picture, int64_t until_mono_ms, struct stripped *out)
{
	enum status st = done(p, mem, STRIP, picture, until_mono_ms, out);

	metric_add(strips_done, st == STATUS_OK);
	metric_add(strips_refused, st == STATUS_BAD_MEDIA);
	metric_add(strips_failed, st == STATUS_BUSY);
	return st;
}
