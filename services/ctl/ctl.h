/*
 * ctl - guildhallctl, the admin's command line. Every command is a row of commands.tbl.h: a function that gets its
 * arguments, says what came out, and returns an exit code. With --json a command writes one object (watch and tail: one a
 * line) to stdout, also for failures; people read text, and failures go to stderr and say what to do.
 * One thread; what a command needs from the arena dies with the process.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/config.h"
#include "common/base/status.h"
#include "common/db/db.h"
#include "common/json/writer.h"
#include "common/rpc/rpc.h"

enum ctl_exit { CTL_OK = 0, CTL_FAILED = 1, CTL_USAGE = 2 };

struct ctl {
	struct arena *mem;
	struct config config;
	const char *command; /* "user create" */
	bool json;
	struct rpc_client *peers[4]; /* in the order of ctl_peer's table; made when first needed */
};

struct ctl_command {
	const char *words;     /* "user create" */
	enum ctl_exit (*run)(struct ctl *ctl, int argc, char **argv); /* argv begins behind the words */
	const char *arguments; /* "NAME [--email ADDRESS]" */
	const char *summary;
	const char *details;   /* what --help adds */
};
extern const struct ctl_command ctl_commands[];
extern const size_t ctl_command_count;

/* ---- arguments */
enum ctl_option_kind {
	CTL_FLAG, /* bool */
	CTL_TEXT, /* const char *, not empty */
	CTL_NUMBER, /* int64_t */
};
struct ctl_option {
	const char *name; /* "--email" */
	enum ctl_option_kind kind;
	void *out;        /* stays as it is when the option is not given */
	int64_t least, most; /* of a number */
};
/*
 * Sorts argv into options (anywhere, also --name=value; `--` ends them) and the rest, which is at least `least` and at most
 * `most` words and goes to out_words. CTL_OK, or CTL_USAGE after saying what is wrong.
 */
enum ctl_exit ctl_arguments(struct ctl *ctl, int argc, char **argv, const struct ctl_option *options, size_t option_count,
	size_t least, size_t most, const char **out_words, size_t *out_count);
/* Says what is wrong with how the command was called. Returns CTL_USAGE. */
enum ctl_exit ctl_misuse(struct ctl *ctl, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- what came out */
/* The failure in words: what happened; what to do. With --json {"error":{"code","message","hint"}}. hint may be NULL.
 * Returns CTL_FAILED. */
enum ctl_exit ctl_fail(struct ctl *ctl, enum status st, const char *hint, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
/* A call's failure. owner as in ctl_peer; subject: what it was about, e.g. the name given. */
enum ctl_exit ctl_fail_call(struct ctl *ctl, const char *owner, const char *subject, const struct rpc_outcome *outcome);
/* Writes a finished object and a newline to stdout. */
void ctl_print_object(struct json_writer *w);
/* A note for people on stderr; nothing with --json. */
void ctl_note(struct ctl *ctl, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- calls */
/* owner: "api", "messaging", "moderation" or "presence". NULL after saying which setting is missing or wrong. */
struct rpc_client *ctl_peer(struct ctl *ctl, const char *owner);
const char *ctl_peer_addresses(const struct ctl *ctl, const char *owner);
const char *ctl_peer_setting(const char *owner); /* "GUILDHALL_RPC_API" */
/* The system asks, with ten seconds. changes: with a request id of its own. */
struct rpc_context ctl_context(struct ctl *ctl, bool changes);

/* The failure of a call about an account: no such account, or ctl_fail_call. */
enum ctl_exit ctl_fail_account(struct ctl *ctl, const char *username, const struct rpc_outcome *outcome);
/* An account by its name, as the system sees it. CTL_OK, or CTL_FAILED after saying why. epoch: of its user stream. */
enum ctl_exit ctl_find_account(struct ctl *ctl, const char *username, pb_UserView *out_account, uint64_t *out_epoch);

/* ---- the database */
/* A connection to the database of GUILDHALL_DB_URL: its primary, or (read_only) any server of it that answers. Waits five seconds.
 * STATUS_BUSY: there is none. Ended with ctl_database_end, which accepts NULLs. */
enum status ctl_database(struct ctl *ctl, bool read_only, struct db **out_db, struct db_conn **out_conn);
void ctl_database_end(struct db *db, struct db_conn *conn);

/* ---- secrets */
/*
 * A secret from stdin (from_stdin), a file, or the terminal, where it is typed twice without being shown. One trailing
 * newline is dropped. what: "password", for the questions. CTL_OK, or the exit code after saying why.
 */
enum ctl_exit ctl_read_secret(struct ctl *ctl, const char *what, bool from_stdin, const char *file, const char **out_secret);

void ctl_finish(struct ctl *ctl);
