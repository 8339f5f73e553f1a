/*
 * guildhall-raw - the limit that a gateway is measured against: the same bytes to the same number of sockets
 * with nothing around it. The parent writes `in-flight` frames to every plain TCP socket, one sendmsg each,
 * and waits until the child has read and compared them all; its CPU time is what counts. Prints one JSON
 * object.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MOST_IN_FLIGHT 64
#define MOST_BYTES     4096

static void check(int result, const char *what)
{
	if (result < 0) {
		fprintf(stderr, "raw: %s: %s\n", what, strerror(errno));
		exit(2);
	}
}

static double now_s(void)
{
	struct timespec at;
	clock_gettime(CLOCK_MONOTONIC, &at);
	return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

static double cpu_s(void)
{
	struct rusage usage;
	getrusage(RUSAGE_SELF, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void fill(uint8_t *round, size_t bytes, int in_flight)
{
	for (size_t i = 0; i < bytes * (size_t)in_flight; i++)
		round[i] = (uint8_t)(' ' + (i * 31 + i / bytes) % 90);
}

/* Reads whole rounds from all sockets, comparing every byte, and writes a byte to `told` for each. Ends when
 * the parent does. */
static void reader(const int *sockets, int count, int told, const uint8_t *round, size_t round_bytes)
{
	struct epoll_event events[512];
	size_t *at = calloc((size_t)count, sizeof(*at)), whole = 0;
	uint8_t *buffer = malloc(262144);
	int epoll = epoll_create1(0);
	for (int i = 0; i < count; i++) {
		struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)i};
		check(epoll_ctl(epoll, EPOLL_CTL_ADD, sockets[i], &event), "epoll_ctl");
	}
	for (;;) {
		int ready = epoll_wait(epoll, events, 512, -1);
		for (int e = 0; e < ready; e++) {
			uint32_t i = events[e].data.u32;
			ssize_t got = recv(sockets[i], buffer, 262144, MSG_DONTWAIT);
			if (got == 0)
				exit(0);
			if (got < 0)
				continue;
			if (at[i] + (size_t)got > round_bytes ||
				memcmp(buffer, round + at[i], (size_t)got) != 0) {
				fprintf(stderr, "raw: socket %u got other bytes than were sent\n", i);
				exit(1);
			}
			at[i] += (size_t)got;
			if (at[i] < round_bytes)
				continue;
			at[i] = 0;
			if (++whole == (size_t)count) {
				whole = 0;
				check((int)write(told, "", 1), "write");
			}
		}
	}
}

static void send_round(int fd, const uint8_t *round, size_t frame_bytes, int in_flight)
{
	struct iovec pieces[MOST_IN_FLIGHT];
	for (int i = 0; i < in_flight; i++)
		pieces[i] = (struct iovec){(void *)(round + (size_t)i * frame_bytes), frame_bytes};
	struct msghdr message = {.msg_iov = pieces, .msg_iovlen = (size_t)in_flight};
	if (sendmsg(fd, &message, MSG_NOSIGNAL) != (ssize_t)(frame_bytes * (size_t)in_flight))
		check(-1, "sendmsg fell short");
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"sockets", required_argument, NULL, 'n'},
		{"in-flight", required_argument, NULL, 'i'},
		{"frame-bytes", required_argument, NULL, 'b'},
		{"seconds", required_argument, NULL, 's'},
		{0},
	};
	int count = 1000, in_flight = 8, pipes[2], option;
	size_t frame_bytes = 304;
	double seconds = 4;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'n')
			count = atoi(optarg);
		else if (option == 'i')
			in_flight = atoi(optarg);
		else if (option == 'b')
			frame_bytes = (size_t)atoi(optarg);
		else if (option == 's')
			seconds = atof(optarg);
		else
			return 2;
	}
	if (count < 1 || in_flight < 1 || in_flight > MOST_IN_FLIGHT || frame_bytes < 1 ||
		frame_bytes > MOST_BYTES)
		return 2;
	uint8_t *round = malloc(frame_bytes * (size_t)in_flight);
	fill(round, frame_bytes, in_flight);

	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM, 0), *near = calloc((size_t)count, sizeof(int));
	check(listener, "socket");
	check(bind(listener, (struct sockaddr *)&address, size), "bind");
	check(listen(listener, 64), "listen");
	check(getsockname(listener, (struct sockaddr *)&address, &size), "getsockname");
	check(pipe(pipes), "pipe");
	pid_t child = fork();
	check(child, "fork");
	if (child == 0) {
		/* Its end of each socket is its own descriptor only: ten thousand fit a limit of twenty. */
		for (int i = 0; i < count; i++) {
			near[i] = socket(AF_INET, SOCK_STREAM, 0);
			check(near[i], "socket");
			check(connect(near[i], (struct sockaddr *)&address, size), "connect");
		}
		reader(near, count, pipes[1], round, frame_bytes * (size_t)in_flight);
	}
	close(pipes[1]);
	for (int i = 0; i < count; i++) {
		near[i] = accept(listener, NULL, NULL);
		check(near[i], "accept");
		setsockopt(near[i], IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
	}

	double begun = 0, begun_cpu = 0, warm = now_s() + seconds / 4;
	uint64_t rounds = 0;
	char byte;
	for (;;) {
		for (int i = 0; i < count; i++)
			send_round(near[i], round, frame_bytes, in_flight);
		if (read(pipes[0], &byte, 1) != 1)
			return 1;
		double now = now_s();
		if (begun == 0 && now >= warm) {
			begun = now;
			begun_cpu = cpu_s();
		} else if (begun != 0) {
			rounds++;
			if (now >= begun + seconds)
				break;
		}
	}
	double passed = now_s() - begun, cpu = cpu_s() - begun_cpu,
	       deliveries = (double)rounds * count * in_flight;
	printf("{\"sockets\":%d,\"in_flight\":%d,\"frame_bytes\":%zu,\"deliveries_per_s\":%.1f,\"deliveries_"
	       "per_cpu_s\":%.1f}\n",
		count, in_flight, frame_bytes, deliveries / passed, deliveries / cpu);
	for (int i = 0; i < count; i++)
		close(near[i]);
	waitpid(child, NULL, 0);
	return 0;
}
