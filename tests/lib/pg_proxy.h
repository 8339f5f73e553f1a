/*
 * pg_proxy - stands between a client and PostgreSQL on a unix socket and cuts the connection at a chosen moment: what a
 * network does to a COMMIT, done on purpose.
 */
#pragma once

#include "tests/lib/pg.h"

enum pg_cut {
	PG_CUT_NEVER,
	PG_CUT_COMMIT_ANSWER,  /* the server has committed; its answer does not arrive */
	PG_CUT_COMMIT_REQUEST, /* what holds the COMMIT does not arrive at the server */
};

struct pg_proxy;
/* out_url: like url, through the proxy. */
struct pg_proxy *pg_proxy_start(const char *url, char out_url[PG_URL_SIZE]);
/* Arms the next cut; afterwards connections pass again. */
void pg_proxy_cut(struct pg_proxy *p, enum pg_cut cut);
int pg_proxy_cuts(struct pg_proxy *p); /* how many happened */
void pg_proxy_stop(struct pg_proxy *p);
