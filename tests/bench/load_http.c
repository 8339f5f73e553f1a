/*
 * The posters: one keep-alive connection for each sender, one post outstanding on each, all on one thread.
 */
#include "tests/bench/load.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <netinet/tcp.h>
#include <arpa/inet.h>
#include <unistd.h>

#define REQUEST_SIZE 8192
#define ANSWER_SIZE  16384
#define REFUSED_NS   50000000LL    /* pause of a sender after an answer that is not 201 */
#define NO_ANSWER_NS 10000000000LL /* after which a connection is given up */
#define WAKE_TAG     ((void *)1)
#define TIMER_TAG    ((void *)2)

struct poster {
	uint32_t index;
	int fd;
	bool busy, waiting;    /* a post is outstanding; answered, but not yet delivered to the whole group */
	int64_t begun_ns;      /* of the outstanding post */
	int64_t resume_ns;     /* not before */
	size_t length, wanted; /* of the answer: bytes so far; head and body together, 0 while unknown */
	bool closing;          /* the server will close after this answer */
	char answer[ANSWER_SIZE];
};

struct http {
	struct load *load;
	struct poster *posters;
	int epoll, wake, timer;
	pthread_t thread;
	_Atomic bool stop, stopped;
	uint32_t next; /* rate: whose turn it is */
	uint64_t due;  /* rate: posts that should have been begun and could not be, oldest first due at
			  next_due_ns */
	int64_t next_due_ns;
};

static void poster_connect(struct http *http, struct poster *p)
{
	const struct load *load = http->load;
	p->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* Loopback: blocks for microseconds, and spares a state. */
	if (p->fd < 0 || connect(p->fd, (const struct sockaddr *)&load->api, sizeof(load->api)) != 0) {
		fprintf(stderr, "load: connecting to the api: %s\n", strerror(errno));
		exit(2);
	}
	setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = p};
	epoll_ctl(http->epoll, EPOLL_CTL_ADD, p->fd, &event);
}

static void post(struct http *http, struct poster *p, int64_t begun_ns)
{
	struct load *load = http->load;
	struct sender *sender = &load->senders[p->index];
	char content[4096], host[INET_ADDRSTRLEN], request[REQUEST_SIZE];
	if (p->fd < 0)
		poster_connect(http, p);
	inet_ntop(AF_INET, &load->api.sin_addr, host, sizeof(host));
	int length;
	if (load->mode == MODE_GET) {
		length = snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: %s:%d\r\nAuthorization: Bearer %s\r\n\r\n",
			load->get, host, ntohs(load->api.sin_port), load->users[sender->user].token);
	} else {
		char body[ENVELOPE_SIZE];
		content_write(load, p->index, sender->posted++, begun_ns, content);
		size_t size = load->protocol->posts_envelope
				      ? envelope_write(load, sender, content, body)
				      : (size_t)snprintf(body, sizeof(body), "{\"content\":\"%.*s\"}",
						(int)load->content_bytes, content);
		length = snprintf(request, sizeof(request),
			"POST /v1/channels/%s/messages HTTP/1.1\r\nHost: %s:%d\r\nAuthorization: Bearer "
			"%s\r\nContent-Type: application/json\r\n"
			"Content-Length: %zu\r\n\r\n%.*s",
			sender->channel, host, ntohs(load->api.sin_port), load->users[sender->user].token,
			size, (int)size, body);
	}
	p->busy = true;
	p->begun_ns = begun_ns;
	p->length = p->wanted = 0;
	p->closing = false;
	/* The socket's buffer is empty, as the answer to the post before has come: this never falls short. A
	 * connection that the server closed meanwhile is found by the next read. */
	if (send(p->fd, request, (size_t)length, MSG_NOSIGNAL) != length)
		shutdown(p->fd, SHUT_RDWR);
}

static void answered(struct http *http, struct poster *p, int status, int64_t now)
{
	struct load *load = http->load;
	struct sender *sender = &load->senders[p->index];
	p->busy = false;
	p->waiting = true;
	if (status == (load->mode == MODE_GET ? 200 : 201)) {
		sender->acked += load->mode != MODE_GET;
		if (now >= load->begin_ns && now < load->end_ns) {
			sender->counted++;
			load->posts++;
			histogram_add(&load->post, now - p->begun_ns);
		}
	} else {
		if (load->refused++ < 5)
			fprintf(stderr, "load: a request was answered %d: %.*s\n", status,
				(int)(p->length > 800 ? 800 : p->length), p->answer);
		if (sender->refused_count == SENDER_MOST_REFUSED) {
			fprintf(stderr, "load: sender %u was refused %d times\n", p->index,
				SENDER_MOST_REFUSED);
			exit(2);
		}
		sender->refused[sender->refused_count++] = sender->posted - 1;
		p->resume_ns = now + REFUSED_NS;
		p->waiting = false; /* whether it will ever be delivered is not known */
	}
	if (p->closing) {
		close(p->fd);
		p->fd = -1;
	}
}

/* 0: more to come. */
static int answer_status(struct poster *p)
{
	if (p->wanted == 0) {
		const char *end = memmem(p->answer, p->length, "\r\n\r\n", 4);
		if (end == NULL)
			return 0;
		p->wanted = (size_t)(end + 4 - p->answer);
		for (const char *line = p->answer; line < end;) {
			const char *stop = memmem(line, (size_t)(end + 2 - line), "\r\n", 2);
			if (strncasecmp(line, "content-length:", 15) == 0)
				p->wanted += strtoul(line + 15, NULL, 10);
			else if (strncasecmp(line, "connection: close", 17) == 0)
				p->closing = true;
			line = stop + 2;
		}
	}
	return p->length >= p->wanted ? atoi(p->answer + 9) : 0;
}

static void readable(struct http *http, struct poster *p)
{
	ssize_t got = recv(p->fd, p->answer + p->length, sizeof(p->answer) - 1 - p->length, MSG_DONTWAIT);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	int64_t now = now_ns();
	if (got <= 0) {
		p->closing = true;
		if (p->busy)
			answered(http, p, 0, now);
		else {
			close(p->fd);
			p->fd = -1;
		}
		return;
	}
	p->length += (size_t)got;
	p->answer[p->length] = 0;
	int status = answer_status(p);
	if (status > 0)
		answered(http, p, status, now);
}

static bool poster_free(const struct http *http, const struct poster *p, int64_t now)
{
	const struct load *load = http->load;
	if (p->busy || now < p->resume_ns)
		return false;
	if (load->mode != MODE_WINDOW || !p->waiting)
		return true;
	return atomic_load(&load->senders[p->index].delivered) >= load->senders[p->index].posted;
}

static void begin_posts(struct http *http)
{
	const struct load *load = http->load;
	int64_t now = now_ns();
	if (load->mode != MODE_RATE) {
		for (uint32_t i = 0; i < load->sender_count; i++)
			if (poster_free(http, &http->posters[i], now))
				post(http, &http->posters[i], now_ns());
		return;
	}
	for (uint32_t tried = 0; http->due > 0 && tried < load->sender_count; tried++) {
		struct poster *p = &http->posters[http->next];
		http->next = (http->next + 1) % (uint32_t)load->sender_count;
		if (!poster_free(http, p, now))
			continue;
		/* Behind by more than one pause: nobody was free, and the wait is the server's doing, so it
		 * counts from when the post was due. Otherwise only our own thread woke up late. */
		int64_t pause_ns = (int64_t)(1e9 / load->rate);
		bool late = http->due > 1;
		http->load->late += late;
		post(http, p, late ? http->next_due_ns : now);
		http->next_due_ns += pause_ns;
		http->due--;
	}
}

static bool idle(const struct http *http)
{
	for (uint32_t i = 0; i < http->load->sender_count; i++)
		if (http->posters[i].busy)
			return false;
	return true;
}

static void give_up_silent(struct http *http)
{
	int64_t now = now_ns();
	for (uint32_t i = 0; i < http->load->sender_count; i++) {
		struct poster *p = &http->posters[i];
		if (p->busy && now - p->begun_ns > NO_ANSWER_NS) {
			p->closing = true;
			answered(http, p, 0, now);
		}
	}
}

static void *http_thread(void *arg)
{
	struct http *http = arg;
	struct epoll_event events[256];
	uint64_t number;
	for (;;) {
		bool stopping = atomic_load(&http->stop);
		if (stopping && idle(http))
			break;
		if (!stopping)
			begin_posts(http);
		int count = epoll_wait(http->epoll, events, 256, 50);
		for (int i = 0; i < count; i++) {
			void *tag = events[i].data.ptr;
			if (tag == WAKE_TAG)
				(void)!read(http->wake, &number, sizeof(number));
			else if (tag == TIMER_TAG) {
				if (read(http->timer, &number, sizeof(number)) == sizeof(number))
					http->due += number;
			} else
				readable(http, tag);
		}
		if (count == 0)
			give_up_silent(http);
	}
	atomic_store(&http->stopped, true);
	return NULL;
}

struct http *http_start(struct load *load)
{
	struct http *http = calloc(1, sizeof(*http));
	http->load = load;
	http->posters = calloc(load->sender_count, sizeof(*http->posters));
	http->epoll = epoll_create1(EPOLL_CLOEXEC);
	http->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	http->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	struct epoll_event wake = {.events = EPOLLIN, .data.ptr = WAKE_TAG},
			   timer = {.events = EPOLLIN, .data.ptr = TIMER_TAG};
	epoll_ctl(http->epoll, EPOLL_CTL_ADD, http->wake, &wake);
	epoll_ctl(http->epoll, EPOLL_CTL_ADD, http->timer, &timer);
	for (uint32_t i = 0; i < load->sender_count; i++) {
		http->posters[i].index = i;
		poster_connect(http, &http->posters[i]);
	}
	if (load->mode == MODE_RATE) {
		int64_t pause_ns = (int64_t)(1e9 / load->rate);
		struct itimerspec spec = {.it_interval = {pause_ns / 1000000000, pause_ns % 1000000000}};
		http->next_due_ns = now_ns() + pause_ns;
		spec.it_value =
			(struct timespec){http->next_due_ns / 1000000000, http->next_due_ns % 1000000000};
		timerfd_settime(http->timer, TFD_TIMER_ABSTIME, &spec, NULL);
	}
	pthread_create(&http->thread, NULL, http_thread, http);
	return http;
}

void http_wake(struct http *http)
{
	(void)!write(http->wake, &(uint64_t){1}, sizeof(uint64_t));
}

void http_stop(struct http *http)
{
	atomic_store(&http->stop, true);
	http_wake(http);
}

bool http_stopped(const struct http *http)
{
	return atomic_load(&http->stopped);
}

void http_join(struct http *http)
{
	pthread_join(http->thread, NULL);
	for (uint32_t i = 0; i < http->load->sender_count; i++)
		if (http->posters[i].fd >= 0)
			close(http->posters[i].fd);
	close(http->epoll);
	close(http->wake);
	close(http->timer);
	free(http->posters);
	free(http);
}
