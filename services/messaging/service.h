/*
 * service - what the parts of guildhall-messaging share. Made by main.c, borrowed by every handler and
 * thread; nothing in it changes after the first call is served, what is behind the pointers locks for itself.
 */
#pragma once

#include "common/base/config.h"
#include "common/base/ids.h"
#include "common/db/committer.h"
#include "common/db/db.h"
#include "common/rpc/rpc.h"

struct rights_cache;
struct people;
struct followup;
struct notices;
struct deliveries;
struct file_store;
struct previews;

struct service {
	const struct config *config;
	const char *instance;
	struct db *db;    /* the primary: what must be seen at once, people, purge, leases */
	struct db *reads; /* lists; a replica where GUILDHALL_DB_READ_URL names one, else the same as db */
	struct committer *committer;
	struct rpc_client *moderation;
	struct ids *ids;
	struct rights_cache *rights;
	struct people *people;
	struct followup *followup; /* threads for what a committer's callback may not do */
	struct file_store *files;   /* NULL: nothing can be uploaded */
	struct previews *previews;  /* NULL: none are made */
	struct notices *_Atomic notices; /* tells people that they were mentioned; NULL: a scan of another copy will */
	struct deliveries *deliveries; /* asks the receivers of outgoing webhooks; NULL: another copy will */
};

/* Why an answer is refused after three tries: rights kept changing in between. */
#define JUDGE_TRIES 3

/* The next S id now; STATUS_BUSY while this process holds no node. */
enum status service_next_id(struct service *s, uint64_t *out_id);
