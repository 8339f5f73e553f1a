#include "services/moderation/evaluate.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

/* The bits of one evaluation on their way through the rules; notes which rule last changed the bit asked for.
 */
struct run {
	struct bits bits;
	int asked;
	enum eval_rule rule;
	uint64_t subject;
};

static struct bits bits_range(enum permission first, enum permission last)
{
	struct bits set = {0};
	for (unsigned n = first; n <= (unsigned)last; n++)
		set = bits_with(set, (enum permission)n);
	return set;
}

struct bits eval_all(void)
{
	static const struct bits all = {
#define PERMISSION(n, name, base) | ((n) < 64 ? UINT64_C(1) << ((n)&63) : 0)
		0
#include "common/events/permissions.tbl.h"
		,
#undef PERMISSION
#define PERMISSION(n, name, base) | ((n) >= 64 ? UINT64_C(1) << ((n)&63) : 0)
		0
#include "common/events/permissions.tbl.h"
#undef PERMISSION
	};
	return all;
}

struct bits eval_view_bits(void)
{
	return bits_range(PERMISSION_view_text, PERMISSION_view_schedule);
}

static void run_set(struct run *run, struct bits next, enum eval_rule rule, uint64_t subject)
{
	if (run->asked >= 0 && bits_has(run->bits, (enum permission)run->asked) !=
				       bits_has(next, (enum permission)run->asked)) {
		run->rule = rule;
		run->subject = subject;
	}
	run->bits = next;
}

static void run_add(struct run *run, struct bits more, enum eval_rule rule)
{
	run_set(run, bits_or(run->bits, more), rule, 0);
}

static void run_keep(struct run *run, struct bits rest, enum eval_rule rule)
{
	run_set(run, bits_and(run->bits, rest), rule, 0);
}

/* ---- overrides */

struct bits eval_scope_mask(enum override_scope scope)
{
	struct bits set = bits_without(eval_all(), PERMISSION_administrator);
	if (scope == OVERRIDE_TEAM)
		return set;
	set.low &= ~((UINT64_C(1) << PERMISSION_view_text) - 1);
	return bits_with(set, PERMISSION_mention_everyone);
}

static bool has_role(const struct eval_facts *f, uint64_t role)
{
	for (size_t i = 0; i < f->standing->role_count; i++)
		if (f->standing->role_ids[i] == role)
			return true;
	return false;
}

enum subjects { SUBJECT_BASE, SUBJECT_ROLES, SUBJECT_USER };

static bool override_concerns(
	const struct eval_facts *f, const struct eval_override *o, enum subjects subjects)
{
	switch (subjects) {
	case SUBJECT_BASE:
		return o->subject_kind == OVERRIDE_OF_ROLE && o->subject_id == f->team->base_role_id;
	case SUBJECT_ROLES:
		return o->subject_kind == OVERRIDE_OF_ROLE && o->subject_id != f->team->base_role_id &&
		       has_role(f, o->subject_id);
	case SUBJECT_USER:
		return o->subject_kind == OVERRIDE_OF_USER && f->user_id != 0 && o->subject_id == f->user_id;
	}
	return false;
}

/* First all denies of these subjects, then all their allows: among a person's roles allow beats deny. */
static void override_apply(struct run *run, const struct eval_facts *f, enum override_scope scope,
	uint64_t scope_id, enum subjects subjects)
{
	if (f->override_count == 0)
		return;
	struct bits mask = eval_scope_mask(scope);
	for (int pass = 0; pass < 2; pass++) {
		for (size_t i = 0; i < f->override_count; i++) {
			const struct eval_override *o = &f->overrides[i];
			if (o->scope != scope || o->scope_id != scope_id ||
				!override_concerns(f, o, subjects))
				continue;
			run_set(run,
				pass == 0 ? bits_minus(run->bits, bits_and(o->deny, mask))
					  : bits_or(run->bits, bits_and(o->allow, mask)),
				o->subject_kind == OVERRIDE_OF_USER ? RULE_OVERRIDE_USER : RULE_OVERRIDE_ROLE,
				o->subject_id);
		}
	}
}

/* ---- the channel's own memberships */

/* The creator of a channel of his own counts as owner until a row says otherwise: rows come by a second
 * commit. */
static uint32_t role_in(const struct eval_facts *f, const struct eval_channel *c, const struct eval_place *p)
{
	if (p->known)
		return p->role;
	bool his = f->user_id != 0 && c->created_by == f->user_id;
	return his && (c->own || c->kind == CHANNEL_THREAD) ? CHANNEL_ROLE_OWNER : CHANNEL_ROLE_NONE;
}

/* What a channel role allows; the view is the caller's: a thread's membership does not open its parent. */
static struct bits role_allows(uint32_t role)
{
	struct bits set = {0};
	if (role == CHANNEL_ROLE_NONE)
		return set;
	set = bits_or(set, bits_range(PERMISSION_join_channel, PERMISSION_leave_channel));
	if (role == CHANNEL_ROLE_MODERATOR || role == CHANNEL_ROLE_OWNER) {
		set = bits_or(set, bits_range(PERMISSION_delete_any_message, PERMISSION_pin_messages));
		set = bits_or(
			set, bits_range(PERMISSION_manage_channel_members, PERMISSION_moderate_channel));
	}
	if (role == CHANNEL_ROLE_OWNER)
		set = bits_or(set, bits_range(PERMISSION_update_channel, PERMISSION_manage_channel_webhooks));
	return set;
}

/* ---- implications */

/* What follows from team-wide permissions: a channel's deny does not touch it. */
static void imply_wide(struct run *run, struct bits team_wide)
{
	struct bits more = {0};
	if (bits_has(team_wide, PERMISSION_manage_channels)) {
		more = bits_or(
			more, bits_range(PERMISSION_update_channel, PERMISSION_manage_channel_members));
		more = bits_with(more, PERMISSION_manage_overrides);
	}
	if (bits_has(team_wide, PERMISSION_manage_webhooks)) {
		more = bits_or(more, bits_range(PERMISSION_create_webhooks, PERMISSION_manage_own_webhooks));
		more = bits_with(more, PERMISSION_manage_channel_webhooks);
	}
	run_add(run, more, RULE_IMPLIED);
}

/* What follows from the result at the place itself, and so can be denied there. */
static void imply_here(struct run *run)
{
	struct bits more = {0};
	if (bits_has(run->bits, PERMISSION_delete_any_message))
		more = bits_with(more, PERMISSION_bypass_slow_mode);
	if (bits_has(run->bits, PERMISSION_voice_move))
		more = bits_with(more, PERMISSION_voice_disconnect);
	if (bits_has(run->bits, PERMISSION_list_manage))
		more = bits_or(more, bits_range(PERMISSION_list_create, PERMISSION_list_reorder));
	run_add(run, more, RULE_IMPLIED);
}

/* ---- the steps */

static void ends_at(struct eval_answer *a, int64_t until_ms)
{
	if (until_ms != 0 && (a->valid_until_ms == 0 || until_ms < a->valid_until_ms))
		a->valid_until_ms = until_ms;
}

static struct eval_answer nothing(struct eval_answer a, enum eval_rule rule)
{
	a.bits = (struct bits){0};
	a.status = STATUS_NOT_FOUND;
	a.rule = rule;
	a.rule_subject = 0;
	return a;
}

/* Step 9, for everybody. Returns the rule that hides or restricts, RULE_NONE otherwise. */
static enum eval_rule close_down(struct run *run, const struct eval_facts *f)
{
	const struct eval_channel *c = f->channel, *p = f->parent;
	if (c->deleted || (p != NULL && p->deleted) || (f->group != NULL && f->group->deleted)) {
		run_keep(run, bits_with((struct bits){0}, PERMISSION_undelete_channel), RULE_DELETED);
		return RULE_DELETED;
	}
	if (c->archived || (p != NULL && p->archived) || (f->group != NULL && f->group->archived)) {
		struct bits rest = bits_with(eval_view_bits(), PERMISSION_read_history);
		rest = bits_or(rest, bits_range(PERMISSION_restore_channel, PERMISSION_undelete_channel));
		run_keep(run, rest, RULE_ARCHIVED);
		return RULE_ARCHIVED;
	}
	return RULE_NONE;
}

static struct eval_answer finish(
	struct eval_answer a, const struct run *run, enum eval_rule whole, bool asked)
{
	a.bits = run->bits;
	a.rule = asked ? run->rule : whole;
	a.rule_subject = asked ? run->subject : 0;
	if (whole == RULE_DELETED) {
		a.status = STATUS_NOT_FOUND;
		a.rule = RULE_DELETED;
		a.rule_subject = 0;
	}
	return a;
}

static struct eval_answer conversation(const struct eval_facts *f, int asked)
{
	struct eval_answer a = {.status = STATUS_OK};
	const struct eval_channel *c = f->channel;
	struct run run = {.asked = asked, .rule = RULE_CONVERSATION};

	if (f->account_gone)
		return nothing(a, RULE_ACCOUNT);
	a.channel_role = f->place->role;
	a.member = a.channel_role != CHANNEL_ROLE_NONE;
	if (!a.member)
		return nothing(a, RULE_MEMBERSHIP);
	if (f->place->banned) {
		ends_at(&a, f->place->ban_until_ms);
		return nothing(a, RULE_CHANNEL_BAN);
	}
	struct bits set = bits_range(PERMISSION_read_history, PERMISSION_attach_files);
	set = bits_with(set, PERMISSION_view_text);
	set = bits_or(set, bits_range(PERMISSION_edit_own_messages, PERMISSION_delete_own_messages));
	set = bits_with(set, PERMISSION_pin_messages);
	set = bits_or(set, bits_range(PERMISSION_voice_connect, PERMISSION_voice_speak));
	set = bits_with(set, PERMISSION_stream_start);
	if (c->kind == CHANNEL_GROUP) {
		set = bits_with(set, PERMISSION_leave_channel);
		set = bits_with(set, PERMISSION_manage_channel_members);
		if (a.channel_role == CHANNEL_ROLE_OWNER)
			set = bits_or(
				set, bits_range(PERMISSION_update_channel, PERMISSION_undelete_channel));
	}
	run_add(&run, set, RULE_CONVERSATION);
	enum eval_rule whole = RULE_NONE;
	if (c->kind == CHANNEL_DIRECT && f->blocked) {
		run_set(&run,
			bits_minus(run.bits, bits_range(PERMISSION_send_messages, PERMISSION_attach_files)),
			RULE_BLOCKED, 0);
		whole = RULE_BLOCKED;
	}
	enum eval_rule closed = close_down(&run, f);
	return finish(a, &run, closed != RULE_NONE ? closed : whole, asked >= 0);
}

/* Steps 1 and 7 for one who is not a member: what everybody may read. */
static struct eval_answer outsider(const struct eval_facts *f, struct eval_answer a, int asked)
{
	const struct eval_channel *at = f->parent != NULL ? f->parent : f->channel;
	struct run run = {.asked = asked, .rule = RULE_MEMBERSHIP};
	enum eval_rule whole = RULE_NONE;
	struct bits set;

	if (!f->team->public_read)
		return nothing(a, RULE_MEMBERSHIP);
	if (at != NULL) {
		/* `private` and a closed group outweigh `public_read`: an outsider never reads what a member
		 * may not. */
		if (!at->public_read || at->private || (f->group != NULL && !f->group->public))
			return nothing(a, RULE_MEMBERSHIP);
		if (f->place->banned || (f->parent != NULL && f->parent_place->banned)) {
			ends_at(&a,
				f->place->banned ? f->place->ban_until_ms : f->parent_place->ban_until_ms);
			return nothing(a, RULE_CHANNEL_BAN);
		}
		set = bits_with((struct bits){0}, channel_kind_view(at->kind));
	} else {
		set = eval_view_bits();
	}
	run_add(&run, bits_with(set, PERMISSION_read_history), RULE_MEMBERSHIP);
	if (f->channel != NULL)
		whole = close_down(&run, f);
	return finish(a, &run, whole != RULE_NONE ? whole : RULE_MEMBERSHIP, asked >= 0);
}

/* Steps 4 to 6 for a channel; run holds the result of step 3. False: step 4 hides the channel. */
static bool channel_steps(struct run *run, const struct eval_facts *f, const struct eval_channel *at,
	const struct eval_place *place, enum permission view)
{
	struct bits team_wide = run->bits;

	if (f->group != NULL && !f->group->public) {
		bool sees = false;
		for (size_t i = 0; i < f->group->visible_role_count && !sees; i++)
			sees = f->group->visible_role_ids[i] == f->team->base_role_id ||
			       has_role(f, f->group->visible_role_ids[i]);
		if (!sees)
			return false;
	}
	if (at->category_id != 0)
		for (int s = SUBJECT_BASE; s <= SUBJECT_USER; s++)
			override_apply(run, f, OVERRIDE_CATEGORY, at->category_id, (enum subjects)s);
	if (at->private)
		run_set(run, bits_without(run->bits, view), RULE_PRIVATE, 0);
	override_apply(run, f, OVERRIDE_CHANNEL, at->id, SUBJECT_BASE);
	override_apply(run, f, OVERRIDE_CHANNEL, at->id, SUBJECT_ROLES);
	uint32_t role = role_in(f, at, place);
	if (role != CHANNEL_ROLE_NONE)
		run_add(run, bits_with(role_allows(role), view), RULE_CHANNEL_ROLE);
	override_apply(run, f, OVERRIDE_CHANNEL, at->id, SUBJECT_USER);
	if (f->parent != NULL) {
		struct bits set = bits_has(run->bits, PERMISSION_send_in_threads)
					  ? bits_with(run->bits, PERMISSION_send_messages)
					  : bits_without(run->bits, PERMISSION_send_messages);
		run_set(run, set, RULE_THREAD, 0);
		run_add(run, role_allows(role_in(f, f->channel, f->place)), RULE_CHANNEL_ROLE);
	}
	imply_wide(run, team_wide);
	return true;
}

/* Step 8. */
static enum eval_rule restrict_person(struct run *run, const struct eval_facts *f, struct eval_answer *a)
{
	const struct eval_standing *st = f->standing;
	enum eval_rule whole = RULE_NONE;
	struct bits voice = bits_range(PERMISSION_voice_broadcast, PERMISSION_voice_send_messages);
	voice = bits_with(voice, PERMISSION_voice_speak);

	if (st->muted) {
		run_set(run, bits_minus(run->bits, voice), RULE_MUTED, 0);
		whole = RULE_MUTED;
	}
	if (st->deafened) {
		run_set(run, bits_minus(run->bits, bits_with(voice, PERMISSION_voice_hear)), RULE_DEAFENED,
			0);
		whole = RULE_DEAFENED;
	}
	if (st->timeout_until_ms != 0) {
		struct bits rest = bits_with(eval_view_bits(), PERMISSION_read_history);
		run_keep(run, bits_with(rest, PERMISSION_leave_channel), RULE_TIMEOUT);
		ends_at(a, st->timeout_until_ms);
		whole = RULE_TIMEOUT;
	}
	return whole;
}

struct eval_answer eval_rights(const struct eval_facts *f, int asked)
{
	struct eval_answer a = {.status = STATUS_OK};

	assert(f->team != NULL || f->channel != NULL);
	assert(f->channel == NULL || f->place != NULL);
	if (f->team == NULL)
		return conversation(f, asked);
	assert(f->standing != NULL);

	const struct eval_standing *st = f->standing;
	const struct eval_channel *at = f->parent != NULL ? f->parent : f->channel;
	const struct eval_place *place = f->parent != NULL ? f->parent_place : f->place;
	enum permission view = at != NULL ? channel_kind_view(at->kind) : PERMISSION_view_text;
	struct run run = {.asked = asked, .rule = RULE_ROLE};
	enum eval_rule whole = RULE_NONE;

	a.member = st->member;
	a.owner = st->member && f->user_id != 0 && f->team->owner_id == f->user_id;
	if (f->channel != NULL && st->member)
		a.channel_role = role_in(f, f->channel, f->place);

	/* 1 and 2 */
	if (f->account_gone)
		return nothing(a, RULE_ACCOUNT);
	if (f->team->suspended)
		return nothing(a, RULE_SUSPENDED);
	if (f->team->deleted)
		return nothing(a, RULE_TEAM_DELETED);
	if (st->banned) {
		ends_at(&a, st->ban_until_ms);
		return nothing(a, RULE_BAN);
	}
	if (!st->member)
		return outsider(f, a, asked);

	struct bits base = {0}, roles = {0};
	for (size_t i = 0; i < f->role_count; i++) {
		const struct eval_role *r = &f->roles[i];
		if (r->id == f->team->base_role_id)
			base = r->permissions;
		else if (has_role(f, r->id))
			roles = bits_or(roles, r->permissions);
		else
			continue;
		if (r->position > a.highest_position)
			a.highest_position = r->position;
	}
	bool all = a.owner || bits_has(bits_or(base, roles), PERMISSION_administrator);
	if (asked < 0 && at != NULL)
		run.asked = (int)view; /* so that a hidden channel names what hides it */
	if (all) {
		run_add(&run, eval_all(), a.owner ? RULE_OWNER : RULE_ADMINISTRATOR);
	} else {
		/* 3 */
		run_add(&run, base, RULE_ROLE);
		override_apply(&run, f, OVERRIDE_TEAM, f->team->id, SUBJECT_BASE);
		/* What everybody is denied is still had by who has a role that gives it. */
		run_add(&run, roles, RULE_ROLE);
		override_apply(&run, f, OVERRIDE_TEAM, f->team->id, SUBJECT_ROLES);
		override_apply(&run, f, OVERRIDE_TEAM, f->team->id, SUBJECT_USER);
		/* 4, 5, 6 */
		if (at == NULL)
			imply_wide(&run, run.bits);
		else if (!channel_steps(&run, f, at, place, view))
			return nothing(a, RULE_GROUP);
		imply_here(&run);
	}
	/* 7 */
	if (at != NULL && !a.owner && (place->banned || f->place->banned)) {
		if (place->banned)
			ends_at(&a, place->ban_until_ms);
		if (f->place->banned)
			ends_at(&a, f->place->ban_until_ms);
		return nothing(a, RULE_CHANNEL_BAN);
	}
	if (at != NULL && !bits_has(run.bits, view)) {
		struct eval_answer hidden = nothing(a, RULE_ROLE);
		if (run.asked == (int)view) {
			hidden.rule = run.rule;
			hidden.rule_subject = run.subject;
			return hidden;
		}
		return eval_rights(
			f, EVAL_ASK_NOTHING); /* the rule that hides it is what was not asked for */
	}
	/* 8, 9 */
	if (!a.owner)
		whole = restrict_person(&run, f, &a);
	if (at != NULL) {
		enum eval_rule closed = close_down(&run, f);
		if (closed != RULE_NONE)
			whole = closed;
	}
	return finish(a, &run, whole, asked >= 0);
}

bool eval_may_enter(const struct eval_facts *facts)
{
	struct eval_standing standing = *facts->standing;
	struct eval_facts f = *facts;

	standing.timeout_until_ms = 0;
	f.standing = &standing;
	struct eval_answer a = eval_rights(&f, EVAL_ASK_NOTHING);
	return a.status == STATUS_OK && bits_has(a.bits, PERMISSION_access_team);
}

bool eval_channel_restricted(const struct eval_team *team, const struct eval_role *roles, size_t role_count,
	const struct eval_override *overrides, size_t override_count, const struct eval_channel *channel)
{
	enum permission view = channel_kind_view(channel->kind);

	if (channel->private || channel->ever_banned)
		return true;
	if (channel->group_id != 0 && channel->group_id != team->base_group_id)
		return true;
	for (size_t i = 0; i < role_count; i++)
		if (roles[i].id == team->base_role_id && !bits_has(roles[i].permissions, view) &&
			!bits_has(roles[i].permissions, PERMISSION_administrator))
			return true;
	for (size_t i = 0; i < override_count; i++) {
		const struct eval_override *o = &overrides[i];
		bool here = o->scope == OVERRIDE_TEAM ? o->scope_id == team->id
			    : o->scope == OVERRIDE_CATEGORY
				    ? channel->category_id != 0 && o->scope_id == channel->category_id
				    : o->scope_id == channel->id;
		if (here && (bits_has(o->allow, view) || bits_has(o->deny, view)))
			return true;
	}
	return false;
}

enum status eval_need(
	const struct eval_facts *facts, enum permission permission, struct eval_answer *out_answer)
{
	struct eval_answer a = eval_rights(facts, (int)permission);
	if (out_answer != NULL)
		*out_answer = a;
	if (a.status != STATUS_OK)
		return a.status;
	if (bits_has(a.bits, permission))
		return STATUS_OK;
	switch (a.rule) {
	case RULE_TIMEOUT:
		return STATUS_TIMED_OUT;
	case RULE_MUTED:
	case RULE_DEAFENED:
		return STATUS_MUTED;
	case RULE_ARCHIVED:
		return STATUS_ARCHIVED;
	case RULE_BLOCKED:
		return STATUS_BLOCKED;
	case RULE_NONE:
	case RULE_ACCOUNT:
	case RULE_SUSPENDED:
	case RULE_TEAM_DELETED:
	case RULE_BAN:
	case RULE_MEMBERSHIP:
	case RULE_OWNER:
	case RULE_ADMINISTRATOR:
	case RULE_ROLE:
	case RULE_OVERRIDE_ROLE:
	case RULE_OVERRIDE_USER:
	case RULE_GROUP:
	case RULE_PRIVATE:
	case RULE_CHANNEL_ROLE:
	case RULE_IMPLIED:
	case RULE_THREAD:
	case RULE_CHANNEL_BAN:
	case RULE_DELETED:
	case RULE_CONVERSATION:
		return STATUS_FORBIDDEN;
	}
	return STATUS_FORBIDDEN;
}

bool eval_outranks(const struct eval_answer *actor, const struct eval_answer *target)
{
	if (target->owner)
		return false;
	return actor->owner || actor->highest_position > target->highest_position;
}

const char *eval_rule_word(enum eval_rule rule)
{
	static const char *const words[] = {
#define RULE(name, word, text) [RULE_##name] = (word),
#include "services/moderation/rules.tbl.h"
#undef RULE
	};
	return words[rule];
}

void eval_why(const struct eval_answer *answer, char out[EVAL_WHY_SIZE])
{
	if (answer->rule_subject != 0)
		snprintf(out, EVAL_WHY_SIZE, "%s:%" PRIu64, eval_rule_word(answer->rule), answer->rule_subject);
	else
		snprintf(out, EVAL_WHY_SIZE, "%s", eval_rule_word(answer->rule));
}
