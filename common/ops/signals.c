#include "common/ops/ops.h"

#include <signal.h>
#include <stddef.h>

static void stop_signals(sigset_t *out)
{
	sigemptyset(out);
	sigaddset(out, SIGTERM);
	sigaddset(out, SIGINT);
}

void ops_signals_block(void)
{
	sigset_t set;

	stop_signals(&set);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
}

int ops_signals_wait(void)
{
	sigset_t set;
	int came = 0;

	stop_signals(&set);
	while (sigwait(&set, &came) != 0)
		;
	return came;
}
