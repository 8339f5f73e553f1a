/* What guildhall-preview can and cannot do behind its sandbox: each deed in a process of its own. */
#include "services/preview/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/main.h"

enum { DONE, REFUSED, OTHERWISE, NO_SANDBOX };

/* What came of a deed that gives -1 with errno when it fails. */
static int said(long result)
{
	return result >= 0 ? DONE : errno == EPERM || errno == ENOSYS ? REFUSED : OTHERWISE;
}

static int opens(void)
{
	return said(open("/etc/passwd", O_RDONLY | O_CLOEXEC));
}

static int makes_a_file(void)
{
	return said(open("/tmp/guildhall-sandbox", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
}

static int removes(void)
{
	return said(unlink("/tmp/guildhall-sandbox-none"));
}

static int connects(void)
{
	return said(socket(AF_INET, SOCK_STREAM, 0));
}

static int pairs(void)
{
	int fds[2];

	return said(socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
}

static int runs_a_program(void)
{
	char *const arguments[] = {(char *)"true", NULL};

	return said(execv("/bin/true", arguments));
}

static int forks(void)
{
	return said(fork());
}

static int traces(void)
{
	return said(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
}

static int kills_another(void)
{
	return said(kill(getppid(), 0));
}

static int makes_code(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? said(-1)
														      : DONE;
}

static int turns_data_into_code(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return page == MAP_FAILED ? OTHERWISE : said(mprotect(page, 4096, PROT_READ | PROT_EXEC));
}

static int asks_for_more_rights(void)
{
	return said(prctl(PR_SET_DUMPABLE, 1));
}

static int takes_memory(void)
{
	char *bytes = malloc(64 << 20);

	if (bytes == NULL)
		return REFUSED;
	memset(bytes, 1, 64 << 20);
	return bytes[5] == 1 ? DONE : OTHERWISE;
}

static int takes_too_much_memory(void)
{
	return malloc((size_t)2 << 30) == NULL ? REFUSED : DONE;
}

static void *thread(void *arg)
{
	*(int *)arg = opens();
	return NULL;
}

/* A thread is allowed, and no freer than the others. */
static int has_a_thread_that_opens(void)
{
	pthread_t t;
	int of_thread = OTHERWISE;

	if (pthread_create(&t, NULL, thread, &of_thread) != 0)
		return OTHERWISE;
	pthread_join(t, NULL);
	return of_thread;
}

static int writes_what_is_open(void)
{
	return said(write(STDOUT_FILENO, "x", 1));
}

/* Beyond the size of an answer a file does not grow: the process ends. */
static int writes_too_much(void)
{
	char *bytes = calloc(1, 1 << 20);

	for (int i = 0; bytes != NULL && i < 8; i++)
		if (write(STDOUT_FILENO, bytes, 1 << 20) < 0)
			return REFUSED;
	return DONE;
}

static int behind_the_sandbox(int (*deed)(void))
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		int out = memfd_create("out", 0);
		dup2(out, STDOUT_FILENO);
		_exit(sandbox_bound() && sandbox_enter() ? deed() : NO_SANDBOX);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status) == SIGXFSZ ? REFUSED : 100 + WTERMSIG(status);
}

START_TEST(nothing_outside_can_be_reached)
{
	static const struct {
		const char *name;
		int (*deed)(void);
	} deeds[] = {{"opens a file", opens}, {"makes a file", makes_a_file}, {"removes a file", removes}, {"makes a socket", connects},
		{"makes a pair of sockets", pairs}, {"runs a program", runs_a_program}, {"forks", forks}, {"traces", traces},
		{"signals its parent", kills_another}, {"makes code", makes_code}, {"turns data into code", turns_data_into_code},
		{"asks for more rights", asks_for_more_rights}, {"takes 2 GiB", takes_too_much_memory},
		{"opens in a thread", has_a_thread_that_opens}, {"writes 8 MiB", writes_too_much}};

	for (size_t i = 0; i < sizeof deeds / sizeof *deeds; i++)
		ck_assert_msg(behind_the_sandbox(deeds[i].deed) == REFUSED, "%s: %d", deeds[i].name, behind_the_sandbox(deeds[i].deed));
}
END_TEST

START_TEST(what_the_work_takes_is_allowed)
{
	ck_assert_int_eq(behind_the_sandbox(takes_memory), DONE);
	ck_assert_int_eq(behind_the_sandbox(writes_what_is_open), DONE);
}
END_TEST

TESTS("preview sandbox", nothing_outside_can_be_reached, what_the_work_takes_is_allowed)
