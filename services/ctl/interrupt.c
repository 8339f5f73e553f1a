#include "services/ctl/interrupt.h"

#include <signal.h>
#include <time.h>

#include "common/base/clock.h"

static volatile sig_atomic_t caught; /* a signal handler has no context of its own to write to */

static void on_signal(int number)
{
	(void)number;
	caught = 1;
}

void interrupt_catch(void)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};

	sigemptyset(&action.sa_mask);
	(void)sigaction(SIGINT, &action, NULL);
	(void)sigaction(SIGTERM, &action, NULL);
}

bool interrupted(void)
{
	return caught != 0;
}

void interruptible_sleep(int ms)
{
	const struct timespec pause = clock_timespec(ms);

	if (!interrupted())
		(void)nanosleep(&pause, NULL); /* ends early at a signal */
}
