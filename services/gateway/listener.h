/*
 * listener - a listening socket for clients. Several may listen on one port, one for each loop (SO_REUSEPORT): the kernel spreads
 * who comes.
 */
#pragma once

#include <stdint.h>

#include "common/base/status.h"

/*
 * listener_open - does not block, closed on exec.
 *
 * listen  "host:port"; no host or *: any address; [::1]:80 is understood
 * port    not 0: instead of the one in listen
 *
 * STATUS_FIELD_INVALID: listen cannot be read. STATUS_CONFLICT: the address is in use or not ours (logged).
 */
enum status listener_open(const char *listen, uint16_t port, int *out_fd);
uint16_t listener_port(int fd);
