/*
 * The sockets: RFC 6455 from the client's side on one epoll, with permessage-deflate when it is asked for. See crowd.h.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#include "tests/lib/client_frame.h"
#include "tests/soak/crowd.h"

#define READ_SIZE     262144
#define EVENTS        512
#define SOURCES       8 /* 127.0.0.1 to .8, so that ports do not run short */
#define GATEWAYS_MOST 16
#define STEP_MS       10000 /* connecting, upgrading, subscribing: a gateway that was killed says nothing */
#define AGAIN_MS      400   /* at most, before a lost connection is made anew */
#define BUSY_MS       100
#define READY_MS      300000
#define SETTLE_MS     120000
#define INFLATED_MOST 1048576

enum state { WAITING, CONNECTING, UPGRADING, HELLO, SUBSCRIBING, READY };

struct socket {
	struct crowd_group *group;
	struct crowd_life life;
	uint64_t position;
	int64_t until_ms; /* WAITING: when to connect; then: when to give up; READY: 0 */
	int64_t again_ms; /* of a busy subscription, 0: none */
	int fd;
	uint32_t user, gateway, kept;
	uint8_t *keep; /* an unfinished frame */
	enum state state;
	bool has_position, global;
};

static struct {
	struct sockaddr_in gateways[GATEWAYS_MOST];
	size_t gateway_count;
	char (*users)[256];
	size_t user_count;
	struct crowd_group *groups;
	size_t group_count;
	struct socket *sockets;
	size_t count, ready;
	char generation[128];
	bool compress;
	double churn;
	uint32_t connecting, connecting_most;
	int epoll;
	z_stream inflater;
	struct crowd_faults faults;
	uint64_t deliveries, compressed, connects, reconnects, recovered, sent_away, cut, left, changed, busy;
} crowd = {.connecting_most = 256};

static uint8_t buffer[READ_SIZE];
static char inflated[INFLATED_MOST];

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static uint32_t chance(uint32_t below)
{
	static uint64_t state = 0x9e3779b97f4a7c15u;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 32) % below;
}

static void die(const char *what, const char *value)
{
	fprintf(stderr, "crowd: %s: %s\n", what, value);
	exit(2);
}

/* ---- one socket */

static void set_state(struct socket *s, enum state state, int64_t within_ms)
{
	crowd.ready += (state == READY) - (s->state == READY);
	crowd.connecting += (state > WAITING && state < READY) - (s->state > WAITING && s->state < READY);
	s->state = state;
	s->until_ms = state == READY ? 0 : now_ms() + within_ms;
}

/* The connection is gone, or is to be. */
static void lose(struct socket *s, int64_t after_ms)
{
	if (s->fd >= 0)
		close(s->fd);
	free(s->keep);
	s->keep = NULL;
	s->kept = 0;
	s->fd = -1;
	s->again_ms = 0;
	s->global = false;
	s->gateway = (s->gateway + 1) % (uint32_t)crowd.gateway_count;
	crowd.reconnects++;
	set_state(s, WAITING, after_ms);
}

static void lose_soon(struct socket *s)
{
	lose(s, 20 + chance(AGAIN_MS));
}

static void dial(struct socket *s)
{
	struct sockaddr_in source = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001 + chance(SOURCES))};
	const struct sockaddr_in *to = &crowd.gateways[s->gateway];

	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s->fd < 0)
		die("socket", strerror(errno));
	setsockopt(s->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &(int){1}, sizeof(int));
	setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
	crowd.connects++;
	if (bind(s->fd, (const struct sockaddr *)&source, sizeof source) != 0 ||
		(connect(s->fd, (const struct sockaddr *)to, sizeof *to) != 0 && errno != EINPROGRESS)) {
		lose_soon(s);
		return;
	}
	struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = s};
	epoll_ctl(crowd.epoll, EPOLL_CTL_ADD, s->fd, &event);
	set_state(s, CONNECTING, STEP_MS);
}

/* Small and rare. False: the connection is lost. */
static bool send_all(struct socket *s, const void *bytes, size_t length)
{
	if (send(s->fd, bytes, length, MSG_NOSIGNAL) == (ssize_t)length)
		return true;
	lose_soon(s);
	return false;
}

static bool send_frame(struct socket *s, uint8_t opcode, const void *payload, size_t length)
{
	uint8_t frame[1024];

	if (length > sizeof frame - CLIENT_FRAME_HEAD)
		die("a frame is too long", "");
	return send_all(s, frame, client_frame(frame, opcode, payload, length));
}

static void upgrade(struct socket *s)
{
	char request[1024];
	int length = snprintf(request, sizeof request,
		"GET /v1/ws?resume=1 HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%sAuthorization: Bearer %s\r\n\r\n",
		crowd.compress ? "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n" : "",
		crowd.users[s->user]);
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = s};

	epoll_ctl(crowd.epoll, EPOLL_CTL_MOD, s->fd, &event);
	set_state(s, UPGRADING, STEP_MS);
	send_all(s, request, (size_t)length);
}

static void subscribe(struct socket *s)
{
	char text[700];
	int size = snprintf(text, sizeof text, "{\"op\":\"subscribe\",\"topics\":[\"%s\"],\"ref\":1", s->group->topic);

	if (s->has_position)
		size += snprintf(text + size, sizeof text - (size_t)size, ",\"since\":{\"generation\":\"%s\",\"streams\":{\"%s\":%llu}}",
			crowd.generation, s->group->stream, (unsigned long long)s->position);
	size += snprintf(text + size, sizeof text - (size_t)size, "}");
	s->again_ms = 0;
	set_state(s, SUBSCRIBING, STEP_MS);
	send_frame(s, 1, text, (size_t)size);
}

/* ---- what comes */

static void fault(struct socket *s, uint64_t *count, const char *what, const char *text, size_t length)
{
	static unsigned said;

	(*count)++;
	if (said++ < 10)
		fprintf(stderr, "crowd: %s (%s, state %d): %.*s\n", what, s->group->topic, s->state, (int)(length > 400 ? 400 : length), text);
}

static void subscribed(struct socket *s, const char *text, size_t length)
{
	static const char generation[] = "\"generation\":\"", yes[] = "\"recovered\":true";
	const char *rest = NULL, *at = memmem(text, length, generation, sizeof generation - 1);
	size_t name_length = 0;
	const char *name = crowd_first_stream(text, length, &name_length, &rest);
	uint64_t seq = 0;

	if (name == NULL || at == NULL || name_length >= sizeof s->group->stream || !crowd_last_number(rest, (size_t)(text + length - rest), "seq", &seq)) {
		fault(s, &crowd.faults.refused, "an answer without a stream", text, length);
		return;
	}
	at += sizeof generation - 1;
	snprintf(crowd.generation, sizeof crowd.generation, "%.*s", (int)strcspn(at, "\""), at);
	snprintf(s->group->stream, sizeof s->group->stream, "%.*s", (int)name_length, name);
	if (!s->has_position) {
		crowd_begin(s->group, &s->life, seq);
	} else if (memmem(text, length, yes, sizeof yes - 1) == NULL) {
		fault(s, &crowd.faults.not_recovered, "not recovered", text, length);
		crowd_begin(s->group, &s->life, seq);
	} else {
		crowd.recovered++;
	}
	s->position = seq;
	s->has_position = true;
	set_state(s, READY, 0);
}

static void event(struct socket *s, const char *text, size_t length)
{
	char of[80];
	int size = snprintf(of, sizeof of, "\"stream\":\"%s\"", s->group->stream);
	uint64_t seq = 0;

	if (s->group->stream[0] == '\0' || memmem(text, length, of, (size_t)size) == NULL || !crowd_last_number(text, length, "seq", &seq))
		return; /* of another stream, or ephemeral */
	/* Who looks at the whole team for a while gets more of it than the others. */
	s->life.messages_only |= s->global;
	if (s->global && !crowd_type_is(text, length, "channel_message")) {
		s->position = seq > s->position ? seq : s->position;
		return;
	}
	crowd_got(s->group, &s->life, seq, text, length, &crowd.faults);
	s->position = seq > s->position ? seq : s->position;
	crowd.deliveries++;
}

static void text_frame(struct socket *s, const char *text, size_t length)
{
	static const char busy[] = "\"code\":\"busy\"";
	uint64_t number = 0;

	if (crowd_type_is(text, length, "hello")) {
		subscribe(s);
	} else if (crowd_type_is(text, length, "subscribed")) {
		if (s->state == SUBSCRIBING)
			subscribed(s, text, length);
	} else if (crowd_type_is(text, length, "error")) {
		if (memmem(text, length, busy, sizeof busy - 1) == NULL)
			fault(s, &crowd.faults.refused, "got", text, length);
		crowd.busy++;
		s->again_ms = now_ms() + BUSY_MS;
	} else if (crowd_type_is(text, length, "reconnect")) {
		crowd.sent_away++;
		if (!crowd_last_number(text, length, "after_ms", &number))
			fault(s, &crowd.faults.refused, "no after_ms", text, length);
		lose(s, (int64_t)number);
	} else if (crowd_type_is(text, length, "position")) {
		const char *rest = NULL;
		size_t name_length = 0;
		const char *name = crowd_first_stream(text, length, &name_length, &rest);
		if (name != NULL && name_length == strlen(s->group->stream) && memcmp(name, s->group->stream, name_length) == 0)
			s->position = strtoull(rest, NULL, 10);
	} else {
		event(s, text, length);
	}
}

static void compressed_frame(struct socket *s, const uint8_t *bytes, size_t length)
{
	static uint8_t tail[] = {0, 0, 0xff, 0xff};
	z_stream *z = &crowd.inflater;

	inflateReset(z);
	z->next_out = (uint8_t *)inflated;
	z->avail_out = sizeof inflated;
	z->next_in = (uint8_t *)bytes;
	z->avail_in = (unsigned)length;
	int rv = inflate(z, Z_SYNC_FLUSH);
	z->next_in = tail;
	z->avail_in = sizeof tail;
	if (rv == Z_OK || rv == Z_BUF_ERROR)
		rv = inflate(z, Z_SYNC_FLUSH);
	if ((rv != Z_OK && rv != Z_BUF_ERROR) || z->avail_in > 0) {
		fault(s, &crowd.faults.corrupt, "does not inflate", "", 0);
		return;
	}
	crowd.compressed++;
	text_frame(s, inflated, sizeof inflated - z->avail_out);
}

/* All whole frames; returns the bytes they took. The connection may be lost by one of them. */
static size_t frames(struct socket *s, const uint8_t *bytes, size_t length)
{
	size_t at = 0;

	while (length - at >= 2 && s->fd >= 0) {
		size_t head = 2, size = bytes[at + 1] & 0x7f, more = size == 126 ? 2 : size == 127 ? 8 : 0;
		if (length - at < head + more)
			break;
		if (more > 0)
			size = 0;
		for (size_t i = 0; i < more; i++)
			size = size << 8 | bytes[at + head + i];
		head += more;
		if (size > READ_SIZE / 2 || (bytes[at + 1] & 0x80) != 0) {
			fault(s, &crowd.faults.corrupt, "broken framing", "", 0);
			lose_soon(s);
			return length;
		}
		if (length - at < head + size)
			break;
		const uint8_t *payload = bytes + at + head;
		uint8_t first = bytes[at];
		at += head + size;
		if (first == 0x81)
			text_frame(s, (const char *)payload, size);
		else if (first == 0xc1 && crowd.compress)
			compressed_frame(s, payload, size);
		else if (first == 0x89)
			send_frame(s, 10, payload, size);
		else if (first == 0x88)
			lose_soon(s);
		else if (first != 0x8a)
			fault(s, &crowd.faults.corrupt, "unexpected opcode", "", 0);
	}
	return at;
}

/* Bytes of the answer's head, 0 while it is unfinished. */
static size_t upgraded(struct socket *s, const uint8_t *bytes, size_t length)
{
	const uint8_t *end = memmem(bytes, length, "\r\n\r\n", 4);

	if (end == NULL)
		return 0;
	if (memcmp(bytes, "HTTP/1.1 101", 12) != 0) { /* full, or leaving: elsewhere */
		lose_soon(s);
		return length;
	}
	set_state(s, HELLO, STEP_MS);
	return (size_t)(end + 4 - bytes);
}

static void readable(struct socket *s)
{
	size_t length = s->kept, used = 0;

	if (length > 0)
		memcpy(buffer, s->keep, length);
	free(s->keep);
	s->keep = NULL;
	s->kept = 0;
	ssize_t got = recv(s->fd, buffer + length, READ_SIZE - length, 0);
	if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
		lose_soon(s);
		return;
	}
	length += got > 0 ? (size_t)got : 0;
	if (s->state == UPGRADING)
		used = upgraded(s, buffer, length);
	if (s->state > UPGRADING)
		used += frames(s, buffer + used, length - used);
	if (s->fd < 0 || used == length)
		return;
	s->kept = (uint32_t)(length - used);
	s->keep = malloc(s->kept);
	memcpy(s->keep, buffer + used, s->kept);
}

/* ---- all of them */

static void look_after(void)
{
	int64_t now = now_ms();

	for (size_t i = 0; i < crowd.count; i++) {
		struct socket *s = &crowd.sockets[i];
		if (s->state == WAITING && now >= s->until_ms && crowd.connecting < crowd.connecting_most)
			dial(s);
		else if (s->state > WAITING && s->state < READY && now >= s->until_ms)
			lose_soon(s);
		else if (s->state == SUBSCRIBING && s->again_ms != 0 && now >= s->again_ms)
			subscribe(s);
	}
}

/* A socket is cut, leaves for good and somebody new comes, or looks at all teams for a while. */
static void churn_one(void)
{
	static const char more[] = "{\"op\":\"subscribe\",\"topics\":[\"global\"]}", less[] = "{\"op\":\"unsubscribe\",\"topics\":[\"global\"]}";
	struct socket *s = &crowd.sockets[chance((uint32_t)crowd.count)];

	if (s->state != READY)
		return;
	switch (chance(3)) {
	case 0:
		crowd.cut++;
		lose_soon(s);
		return;
	case 1:
		crowd.left++;
		if (!send_frame(s, 8, "\x03\xe8", 2))
			return;
		s->has_position = false;
		lose_soon(s);
		return;
	default:
		crowd.changed++;
		s->global = !s->global;
		send_frame(s, 1, s->global ? more : less, s->global ? sizeof more - 1 : sizeof less - 1);
		return;
	}
}

static void turn(int wait_ms)
{
	static int64_t looked_ms, churned_ms;
	static double owed;
	struct epoll_event events[EVENTS];
	int count = epoll_wait(crowd.epoll, events, EVENTS, wait_ms);
	int64_t now = now_ms();

	for (int i = 0; i < count; i++) {
		struct socket *s = events[i].data.ptr;
		if (s->fd < 0)
			continue;
		if (s->state == CONNECTING && (events[i].events & (EPOLLERR | EPOLLHUP)) != 0)
			lose_soon(s);
		else if (s->state == CONNECTING && (events[i].events & EPOLLOUT) != 0)
			upgrade(s);
		else if ((events[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0)
			readable(s);
	}
	owed += crowd.churn * (double)(churned_ms != 0 ? now - churned_ms : 0) / 1000;
	churned_ms = now;
	for (; owed >= 1; owed--)
		churn_one();
	if (now - looked_ms >= 20) {
		looked_ms = now;
		look_after();
	}
}

/* ---- the plan and the orders */

static void *grow(void *list, size_t count, size_t size)
{
	void *more = realloc(list, (count + 1) * size);

	if (more == NULL)
		abort();
	memset((char *)more + count * size, 0, size);
	return more;
}

static void plan_line(const char *line)
{
	char host[64];
	unsigned port;

	if (sscanf(line, "gateway %63s %u", host, &port) == 2 && crowd.gateway_count < GATEWAYS_MOST) {
		struct sockaddr_in *to = &crowd.gateways[crowd.gateway_count++];
		*to = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
		if (inet_pton(AF_INET, host, &to->sin_addr) != 1)
			die("not an IPv4 address", host);
	} else if (strncmp(line, "user ", 5) == 0) {
		crowd.users = grow(crowd.users, crowd.user_count, sizeof *crowd.users);
		if (strlen(line + 5) >= sizeof *crowd.users)
			die("a token is too long", "");
		strcpy(crowd.users[crowd.user_count++], line + 5);
	} else if (strncmp(line, "group ", 6) == 0) {
		crowd.groups = grow(crowd.groups, crowd.group_count, sizeof *crowd.groups);
		struct crowd_group *group = &crowd.groups[crowd.group_count++];
		if (sscanf(line, "group %95s %u %u %u", group->topic, &group->sockets, &group->first_user, &group->users) != 4 || group->users == 0 ||
			group->first_user + group->users > crowd.user_count)
			die("group TOPIC SOCKETS FIRST_USER USERS", line);
	} else {
		die("no such line in a plan", line);
	}
}

static void sockets_prepare(void)
{
	for (size_t g = 0; g < crowd.group_count; g++)
		crowd.count += crowd.groups[g].sockets;
	if (crowd.count == 0 || crowd.gateway_count == 0)
		die("plan", "nobody is to connect, or nowhere to");
	crowd.sockets = calloc(crowd.count, sizeof *crowd.sockets);
	size_t filled = 0;
	for (uint32_t round = 0; filled < crowd.count; round++) {
		for (size_t g = 0; g < crowd.group_count; g++) {
			struct crowd_group *group = &crowd.groups[g];
			if (round < group->sockets) {
				crowd.sockets[filled] = (struct socket){.group = group,
					.fd = -1,
					.user = group->first_user + round % group->users,
					.gateway = (uint32_t)(filled % crowd.gateway_count)};
				filled++;
			}
		}
	}
}

static void order(char *line, int64_t *settle_until_ms, uint64_t *wanted)
{
	if (strncmp(line, "churn ", 6) == 0) {
		crowd.churn = strtod(line + 6, NULL);
	} else if (strncmp(line, "settle", 6) == 0) {
		char *at = line + 6;
		crowd.churn = 0;
		for (size_t g = 0; g < crowd.group_count; g++)
			wanted[g] = strtoull(at, &at, 10);
		*settle_until_ms = now_ms() + SETTLE_MS;
	} else {
		die("no such order", line);
	}
}

static bool settled(const uint64_t *wanted)
{
	for (size_t g = 0; g < crowd.group_count; g++)
		if (crowd.groups[g].messages < wanted[g])
			return false;
	for (size_t i = 0; i < crowd.count; i++)
		if (crowd.sockets[i].state != READY || crowd_is_behind(crowd.sockets[i].group, &crowd.sockets[i].life))
			return false;
	return true;
}

/* Orders that came, a line each, without waiting for more. False: no more will come. */
static bool orders(int64_t *settle_until_ms, uint64_t *wanted)
{
	static char text[4096];
	static size_t length;
	ssize_t got = read(STDIN_FILENO, text + length, sizeof text - 1 - length);

	if (got == 0)
		return false;
	length += got > 0 ? (size_t)got : 0;
	text[length] = '\0';
	for (char *end; (end = strchr(text, '\n')) != NULL;) {
		*end = '\0';
		order(text, settle_until_ms, wanted);
		length -= (size_t)(end + 1 - text);
		memmove(text, end + 1, length + 1);
	}
	return true;
}

static void print(bool whole, FILE *out)
{
	const struct crowd_faults *f = &crowd.faults;
	uint64_t unready = crowd.count - crowd.ready, behind = 0;

	for (size_t i = 0; i < crowd.count; i++)
		behind += crowd_is_behind(crowd.sockets[i].group, &crowd.sockets[i].life);
#define FIELD(name, value) fprintf(out, "\"" name "\":%llu,", (unsigned long long)(value))
	fputc('{', out);
	FIELD("sockets", crowd.count);
	FIELD("deliveries", crowd.deliveries);
	FIELD("compressed", crowd.compressed);
	FIELD("connects", crowd.connects);
	FIELD("reconnects", crowd.reconnects);
	FIELD("recovered", crowd.recovered);
	FIELD("sent_away", crowd.sent_away);
	FIELD("busy", crowd.busy);
	FIELD("cut", crowd.cut);
	FIELD("left", crowd.left);
	FIELD("changed", crowd.changed);
	FIELD("unready", unready);
	FIELD("behind", behind);
	FIELD("lost", f->lost);
	FIELD("doubled", f->doubled);
	FIELD("reordered", f->reordered);
	FIELD("corrupt", f->corrupt);
	FIELD("not_recovered", f->not_recovered);
	FIELD("refused", f->refused);
#undef FIELD
	fprintf(out, "\"messages\":[");
	for (size_t g = 0; g < crowd.group_count; g++)
		fprintf(out, "%s%llu", g > 0 ? "," : "", (unsigned long long)crowd.groups[g].messages);
	fprintf(out, "],\"whole\":%s}\n", whole ? "true" : "false");
	fflush(out);
}

int main(int argc, char **argv)
{
	struct rlimit files;
	char line[512];
	bool going = false;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--compress") != 0)
			die("no such option", argv[i]);
		crowd.compress = true;
	}
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	setvbuf(stdin, NULL, _IONBF, 0); /* orders are read with read() */
	while (!going && fgets(line, sizeof line, stdin) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		going = strcmp(line, "go") == 0;
		if (!going && line[0] != '\0')
			plan_line(line);
	}
	if (!going)
		die("plan", "ended without go");
	fcntl(STDIN_FILENO, F_SETFL, fcntl(STDIN_FILENO, F_GETFL) | O_NONBLOCK);
	crowd.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (inflateInit2(&crowd.inflater, -15) != Z_OK)
		die("zlib", "inflateInit2");
	sockets_prepare();

	int64_t until = now_ms() + READY_MS, settle_until_ms = 0;
	while (crowd.ready < crowd.count && now_ms() < until)
		turn(20);
	if (crowd.ready < crowd.count) {
		print(false, stderr);
		return 2;
	}
	printf("ready\n");
	fflush(stdout);
	uint64_t *wanted = calloc(crowd.group_count, sizeof *wanted);
	while (settle_until_ms == 0) {
		turn(20);
		if (!orders(&settle_until_ms, wanted) && settle_until_ms == 0)
			die("orders", "ended without settle");
	}
	while (!settled(wanted) && now_ms() < settle_until_ms)
		turn(20);
	bool whole = settled(wanted);
	/* Whatever comes now came once too often. */
	for (int64_t end = now_ms() + 300; now_ms() < end;)
		turn(20);
	for (size_t i = 0; i < crowd.count; i++)
		crowd_begin(crowd.sockets[i].group, &crowd.sockets[i].life, crowd.sockets[i].life.last);
	for (size_t g = 0; g < crowd.group_count; g++)
		crowd_verify(&crowd.groups[g], &crowd.faults);
	print(whole, stdout);
	const struct crowd_faults *f = &crowd.faults;
	return whole && f->lost + f->doubled + f->reordered + f->corrupt + f->not_recovered + f->refused == 0 ? 0 : 1;
}
