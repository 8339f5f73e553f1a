#include "services/messaging/followup.h"

#include <assert.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

struct followup {
	pthread_mutex_t lock;
	pthread_cond_t some;
	struct followup_job *first, **last;
	bool ending;
	int count;
	pthread_t threads[];
};

static void *followup_thread(void *arg)
{
	struct followup *f = arg;

	pthread_mutex_lock(&f->lock);
	for (;;) {
		while (f->first == NULL && !f->ending)
			pthread_cond_wait(&f->some, &f->lock);
		struct followup_job *job = f->first;
		if (job == NULL)
			break;
		f->first = job->next;
		if (f->first == NULL)
			f->last = &f->first;
		pthread_mutex_unlock(&f->lock);
		job->run(job->arg);
		pthread_mutex_lock(&f->lock);
	}
	pthread_mutex_unlock(&f->lock);
	return NULL;
}

enum status followup_create(int threads, struct followup **out_followup)
{
	assert(threads > 0);
	struct followup *f = calloc(1, sizeof *f + (size_t)threads * sizeof *f->threads);
	if (f == NULL)
		return STATUS_INTERNAL;
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->some, NULL);
	f->last = &f->first;
	for (int i = 0; i < threads; i++) {
		if (pthread_create(&f->threads[i], NULL, followup_thread, f) != 0) {
			followup_destroy(f);
			return STATUS_INTERNAL;
		}
		f->count++;
	}
	*out_followup = f;
	return STATUS_OK;
}

void followup_destroy(struct followup *f)
{
	if (f == NULL)
		return;
	pthread_mutex_lock(&f->lock);
	f->ending = true;
	pthread_cond_broadcast(&f->some);
	pthread_mutex_unlock(&f->lock);
	for (int i = 0; i < f->count; i++)
		pthread_join(f->threads[i], NULL);
	pthread_cond_destroy(&f->some);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

void followup_submit(struct followup *f, struct followup_job *job)
{
	job->next = NULL;
	pthread_mutex_lock(&f->lock);
	*f->last = job;
	f->last = &job->next;
	pthread_cond_signal(&f->some);
	pthread_mutex_unlock(&f->lock);
}
