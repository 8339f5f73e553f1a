/* What the audit log records, one row each. Words are permanent: they are hashed. target is the kind of thing that
 * target_id names; SCOPE means that the entry says which (an override's team, category or channel).
 *
 *     action                    target    what happened, and what `changes` says beside */
AUDIT(team_updated,              TEAM)     /* from and to of each field */
AUDIT(team_deleted,              TEAM)     /* name */
AUDIT(owner_transferred,         TEAM)     /* owner_id from and to */
AUDIT(team_setting_changed,      TEAM)     /* name; value, as JSON text, from and to */
AUDIT(member_added,              USER)
AUDIT(member_kicked,             USER)
AUDIT(member_banned,             USER)     /* expires_at */
AUDIT(member_ban_changed,        USER)     /* expires_at, motive from and to */
AUDIT(member_unbanned,           USER)
AUDIT(member_timed_out,          USER)     /* until */
AUDIT(member_timeout_lifted,     USER)
AUDIT(member_nickname_changed,   USER)     /* nickname from and to */
AUDIT(invite_created,            INVITE)   /* code_begins, expires_at, max_uses */
AUDIT(invite_deleted,            INVITE)   /* code_begins, made_by, uses */
AUDIT(role_created,              ROLE)     /* name, permissions, position */
AUDIT(role_updated,              ROLE)     /* from and to of each field, permissions added and removed */
AUDIT(role_deleted,              ROLE)     /* name, permissions */
AUDIT(roles_reordered,           TEAM)     /* role_ids, highest first */
AUDIT(member_role_added,         USER)     /* role_id, role_name */
AUDIT(member_role_removed,       USER)     /* role_id, role_name */
AUDIT(override_set,              SCOPE)    /* subject_id, subject_kind, allow and deny: what was added and removed */
AUDIT(override_removed,          SCOPE)    /* the same */
AUDIT(channel_created,           CHANNEL)  /* kind, name, private; of a copy also cloned_from */
AUDIT(channel_updated,           CHANNEL)  /* each field that changed, as it is now */
AUDIT(channel_deleted,           CHANNEL)  /* name */
AUDIT(channel_undeleted,         CHANNEL)  /* name */
AUDIT(channel_archived,          CHANNEL)  /* name */
AUDIT(channel_restored,          CHANNEL)  /* name */
AUDIT(message_updated,           MESSAGE)  /* by another than its author: author_id, channel_id */
AUDIT(message_deleted,           MESSAGE)  /* the same */
AUDIT(message_pinned,            MESSAGE)  /* author_id, channel_id */
AUDIT(message_unpinned,          MESSAGE)  /* author_id, channel_id */
AUDIT(webhook_created,           WEBHOOK)  /* bot_id, channel_id, kind, name, trigger */
AUDIT(webhook_updated,           WEBHOOK)  /* channel_id, and each field that changed, as it is now; never its url */
AUDIT(webhook_deleted,           WEBHOOK)  /* channel_id, name; without an actor: by its token, or with its bot */
AUDIT(channel_member_added,      USER)     /* channel_id, role */
AUDIT(channel_member_removed,    USER)     /* channel_id */
AUDIT(channel_member_kicked,     USER)     /* channel_id */
AUDIT(channel_role_changed,      USER)     /* channel_id, role from and to */
AUDIT(channel_user_banned,       USER)     /* channel_id, expires_at */
AUDIT(channel_user_ban_changed,  USER)     /* channel_id, expires_at, motive from and to */
AUDIT(channel_user_unbanned,     USER)     /* channel_id */
