/*
 * rpc/ear - listening at an address, and staying heard there. nng 1.5.2 (Debian 12) takes a peer that went between its
 * connecting and our greeting for the end of the listener itself (the greeting's EPIPE becomes NNG_ECLOSED): from then on
 * connections are still greeted, but none is ever used. Hence a thread that looks whether greetings failed and then
 * knocks as a stranger would: when nothing comes of it, another listener takes the place. What was connected to the old one is cut
 * and comes again.
 */
#pragma once

#include <nng/nng.h>

#include "common/base/status.h"

struct ear;

/* What rpc_socket_listen does and returns. Takes the socket's NNG_PIPE_EV_ADD_POST for itself.
 * *out_ear may be there after a failure too, and is stopped and freed like any other. */
enum status ear_open(nng_socket socket, const char *address, struct ear **out_ear);
/* Ends the thread; before the socket is closed. Accepts NULL. */
void ear_stop(struct ear *ear);
/* After ear_stop, and after the socket is closed, whose last callback may still have used it. Takes a struct ear *, or NULL. */
void ear_free(void *ear);
