#include "common/rpc/closer.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/log.h"

#define STACK_BYTES   (128 * 1024)
#define CLOSINGS_MOST 64 /* with so many on their way none of them gets anywhere: no more threads for it */

struct closer {
	pthread_mutex_t lock;
	pthread_cond_t closed;
	size_t open;   /* closings on their way */
	bool finished; /* the last closing frees it */
	bool stuck;    /* said once */
};

struct closing {
	struct closer *closer;
	nng_socket socket;
	void (*release)(void *arg);
	void *arg;
};

struct closer *closer_create(void)
{
	struct closer *closer = calloc(1, sizeof *closer);

	if (closer == NULL) {
		log_error("out_of_memory", LOG_U64("size_bytes", sizeof *closer));
		abort();
	}
	pthread_mutex_init(&closer->lock, NULL);
	clock_cond_init(&closer->closed);
	return closer;
}

static void closer_free(struct closer *closer)
{
	pthread_cond_destroy(&closer->closed);
	pthread_mutex_destroy(&closer->lock);
	free(closer);
}

static void *closing_main(void *arg)
{
	struct closing *closing = arg;
	struct closer *closer = closing->closer;

	nng_close(closing->socket);
	if (closing->release != NULL)
		closing->release(closing->arg);
	free(closing);
	pthread_mutex_lock(&closer->lock);
	closer->open--;
	bool last = closer->finished && closer->open == 0;
	pthread_cond_broadcast(&closer->closed);
	pthread_mutex_unlock(&closer->lock);
	if (last)
		closer_free(closer);
	return NULL;
}

void closer_close(struct closer *closer, nng_socket socket, void (*release)(void *arg), void *arg)
{
	struct closing *closing = calloc(1, sizeof *closing);
	pthread_attr_t small;
	pthread_t thread;

	if (closing == NULL) {
		log_error("out_of_memory", LOG_U64("size_bytes", sizeof *closing));
		abort();
	}
	*closing = (struct closing){closer, socket, release, arg};
	pthread_mutex_lock(&closer->lock);
	bool stuck = closer->open >= CLOSINGS_MOST;
	bool first_time = stuck && !closer->stuck;
	closer->stuck |= stuck;
	closer->open += !stuck;
	pthread_mutex_unlock(&closer->lock);
	if (stuck) {
		if (first_time)
			log_warn("sockets_not_closed", LOG_U64("sockets", CLOSINGS_MOST), LOG_STR("why", "nng hangs in closing"));
		free(closing);
		return;
	}
	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, STACK_BYTES);
	pthread_attr_setdetachstate(&small, PTHREAD_CREATE_DETACHED);
	if (pthread_create(&thread, &small, closing_main, closing) != 0) {
		log_error("socket_not_closed", LOG_STR("why", "no thread for it"));
		free(closing);
		pthread_mutex_lock(&closer->lock);
		closer->open--;
		pthread_mutex_unlock(&closer->lock);
	}
	pthread_attr_destroy(&small);
}

void closer_finish(struct closer *closer, int patience_ms)
{
	int64_t until_ms = clock_mono_ms() + patience_ms;
	struct timespec until = clock_timespec(until_ms);

	if (closer == NULL)
		return;
	pthread_mutex_lock(&closer->lock);
	while (closer->open > 0 && pthread_cond_timedwait(&closer->closed, &closer->lock, &until) != ETIMEDOUT) {
	}
	size_t left = closer->open;
	closer->finished = true;
	pthread_mutex_unlock(&closer->lock);
	if (left == 0)
		closer_free(closer);
	else
		log_warn("sockets_not_closed", LOG_U64("sockets", left));
}
