#include "common/ops/ops.h"

#include <signal.h>
#include <stddef.h>

static void our_signals(sigset_t *out)
{
	sigemptyset(out);
	sigaddset(out, SIGTERM);
	sigaddset(out, SIGINT);
	sigaddset(out, SIGHUP);
}

void ops_signals_block(void)
{
	sigset_t set;

	our_signals(&set);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_DFL); /* whoever started us with nohup: an ignored signal would not be waited for */
}

int ops_signals_wait(void)
{
	return ops_signals_wait_reloading(NULL, NULL);
}

int ops_signals_wait_reloading(void (*reload)(void *arg), void *arg)
{
	sigset_t set;
	int came = 0;

	our_signals(&set);
	for (;;) {
		if (sigwait(&set, &came) != 0)
			continue;
		if (came != SIGHUP)
			return came;
		if (reload != NULL)
			reload(arg);
	}
}
