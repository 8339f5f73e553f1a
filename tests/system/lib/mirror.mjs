// What somebody sees of a team, fetched by REST; and the same kept up to date by events alone.
const byKey = (a, b) => (a[0] < b[0] ? -1 : 1);
const object = (map) => Object.fromEntries([...map].sort(byKey));

async function all(rest, path) {
  const items = [];
  for (let url = path + (path.includes('?') ? '&' : '?') + 'limit=100'; url;) {
    const page = await rest.ok('GET', url);
    items.push(...page.items);
    url = page.next;
  }
  return items;
}

const pick = (from, keys) => Object.fromEntries(keys.map((key) => [key, from[key]]));
const userOf = (user) => (user ? user.id : null);
/* What is compared of each object. */
const teamOf = (team) => pick(team, ['id', 'name', 'description', 'icon_url', 'owner_id', 'member_count']);
const channelOf = (c) => pick(c, ['id', 'team_id', 'kind', 'name', 'topic', 'private', 'category_id', 'position', 'archived_at', 'slow_mode_s', 'last_message_id']);
const memberOf = (m) => ({ ...pick(m, ['nickname', 'timeout_until']), user: m.user.id, roles: [...(m.roles ?? [])].sort() });
const roleOf = (r) => pick(r, ['id', 'name', 'permissions', 'position', 'color', 'mentionable', 'separate', 'self_assignable']);
const messageOf = (m) => ({
  ...pick(m, ['id', 'channel_id', 'content', 'parent_message_id', 'root_message_id', 'reply_count', 'pinned', 'edited_at']),
  bookmarked: m.bookmarked ?? false, /* of the reader: events are the same for all */
  author: userOf(m.author),
  reactions: m.reactions.map((r) => ({ emoji: r.emoji, count: r.count, me: r.me ?? false })).sort((a, b) => (a.emoji < b.emoji ? -1 : 1)),
  mentions: { ...m.mentions, users: [...(m.mentions?.users ?? [])].sort(), roles: [...(m.mentions?.roles ?? [])].sort() },
});

/* Events that tell of something which is no part of this state. */
const stateless = new Set(['user_typing', 'presence_updated', 'status_updated', 'user_mentioned', 'audit_recorded', 'session_opened',
  'session_revoked', 'team_created', 'team_setting_updated', 'operator_announcement']);

export class Mirror {
  constructor(me, teamId) {
    Object.assign(this, { me, teamId, unknown: [] });
  }

  async fetch(rest) {
    const team = `/v1/teams/${this.teamId}`;
    this.team = teamOf(await rest.ok('GET', team));
    this.members = new Map((await all(rest, `${team}/members`)).map((m) => [m.user.id, memberOf(m)]));
    this.roles = new Map((await all(rest, `${team}/roles`)).map((r) => [r.id, roleOf(r)]));
    this.channels = new Map((await all(rest, `/v1/channels?team=${this.teamId}&archived=1`)).map((c) => [c.id, channelOf(c)]));
    this.invites = new Map((await all(rest, `${team}/invites`)).map((i) => [i.code, pick(i, ['code', 'max_uses', 'expires_at'])]));
    this.channelMembers = new Map();
    this.messages = new Map();
    this.bans = new Map();
    this.overrides = new Map(); /* of channels; null: a copy's, which are to be fetched */
    const teamBans = await rest.call('GET', `${team}/bans?limit=100`);
    this.listsTeamBans = teamBans.status === 200;
    this.teamBans = new Map(this.listsTeamBans ? teamBans.json.items.map((b) => [b.user.id, pick(b, ['motive', 'expires_at'])]) : []);
    for (const id of this.channels.keys()) {
      this.channelMembers.set(id, new Map((await all(rest, `/v1/channels/${id}/members`)).map((m) => [m.user.id, pick(m, ['role', 'nickname'])])));
      this.messages.set(id, new Map((await all(rest, `/v1/channels/${id}/messages`)).map((m) => [m.id, messageOf(m)])));
      this.overrides.set(id, new Map((await all(rest, `/v1/channels/${id}/overrides`)).map((o) => [o.role_id ?? o.user_id, pick(o, ['allow', 'deny'])])));
      /* Everybody hears of a ban, but the list of them is the moderators', and nobody's while the channel is archived. */
      const bans = await rest.call('GET', `/v1/channels/${id}/bans?limit=100`);
      this.listsBans ||= bans.status === 200;
      this.bans.set(id, new Map(bans.status === 200 ? bans.json.items.map((b) => [b.user.id, b.motive]) : []));
    }
    this.unread = new Map((await all(rest, '/v1/unread')).filter((u) => this.channels.has(u.channel_id))
      .map((u) => [u.channel_id, pick(u, ['unread', 'mentions', 'last_read_id'])]));
    return this;
  }

  /** What is known, without what `other` does not know. */
  state(other = this) {
    const nested = (map) => object([...map].map(([id, inner]) => [id, object(inner)]));
    /* What a deletion takes off may leave less than nothing, which the next post fills first; it is shown as nothing. */
    const shown = object([...this.unread].map(([id, u]) => [id, { ...u, unread: Math.max(0, u.unread) }]));
    const known = ([id, overrides]) => overrides && other.overrides.get(id);
    return {
      team: this.team, members: object(this.members), roles: object(this.roles), channels: object(this.channels), invites: object(this.invites),
      channelMembers: nested(this.channelMembers), messages: nested(this.messages), bans: nested([...this.bans].filter(([id]) => !this.channels.get(id).archived_at)), unread: shown,
      overrides: nested([...this.overrides].filter(known)), teamBans: object(this.teamBans),
    };
  }

  message(data) {
    return this.messages.get(data.channel_id)?.get(data.message_id);
  }

  /* A channel that came to be seen: whole, with nothing in it yet. */
  channelCame(channel) {
    this.channels.set(channel.id, channelOf(channel));
    if (!this.messages.has(channel.id)) this.messages.set(channel.id, new Map());
    if (!this.channelMembers.has(channel.id)) this.channelMembers.set(channel.id, new Map());
    if (!this.bans.has(channel.id)) this.bans.set(channel.id, new Map());
    if (!this.overrides.has(channel.id)) this.overrides.set(channel.id, new Map());
    if (!this.unread.has(channel.id)) this.unread.set(channel.id, { unread: 0, mentions: 0, last_read_id: null });
  }

  posted(data) {
    const message = messageOf(data.message);
    this.messages.get(data.channel_id).set(message.id, message);
    this.channels.get(data.channel_id).last_message_id = message.id;
    this.counted(message, 1);
    const unread = this.unread.get(data.channel_id);
    if (message.author === this.me) this.unread.set(data.channel_id, { unread: 0, mentions: 0, last_read_id: message.id });
    else if (unread) {
      unread.unread++;
      if (this.mentionsMe(message)) unread.mentions++;
    }
  }

  /* A reply counts at what it answers and at the top of the chain. */
  counted(reply, by) {
    for (const id of new Set([reply.parent_message_id, reply.root_message_id])) {
      const message = id && this.messages.get(reply.channel_id).get(id);
      if (message) message.reply_count += by;
    }
  }

  mentionsMe(message) {
    const roles = new Set(this.members.get(this.me)?.roles ?? []);
    const parent = message.parent_message_id ? this.messages.get(message.channel_id).get(message.parent_message_id) : null;
    return message.mentions.users.includes(this.me) || message.mentions.everyone === true || message.mentions.here === true
      || message.mentions.roles.some((role) => roles.has(role)) || parent?.author === this.me;
  }

  deleted(data) {
    const messages = this.messages.get(data.channel_id);
    const gone = messages.get(data.message_id);
    messages.delete(data.message_id);
    const channel = this.channels.get(data.channel_id);
    if (channel.last_message_id === data.message_id) channel.last_message_id = [...messages.keys()].sort().at(-1) ?? null;
    if (gone) this.counted(gone, -1);
    const unread = this.unread.get(data.channel_id);
    if (!unread) return;
    unread.unread--;
    if (gone && gone.author !== this.me && gone.id > (unread.last_read_id ?? '') && this.mentionsMe(gone)) unread.mentions--;
  }

  reacted(data, by) {
    const message = this.message(data);
    const mine = data.user_id === this.me;
    const at = message.reactions.find((r) => r.emoji === data.emoji);
    if (!at) message.reactions.push({ emoji: data.emoji, count: 1, me: mine });
    else {
      at.count += by;
      if (mine) at.me = by > 0;
    }
    message.reactions = message.reactions.filter((r) => r.count > 0).sort((a, b) => (a.emoji < b.emoji ? -1 : 1));
  }

  apply({ type, data }) {
    switch (type) {
      case 'team_updated': return Object.assign(this.team, teamOf(data.team));
      case 'team_member_joined': this.members.set(data.user_id, memberOf(data.member)); return (this.team.member_count = data.member_count);
      case 'team_member_left':
        this.members.delete(data.user_id);
        for (const members of this.channelMembers.values()) members.delete(data.user_id);
        return (this.team.member_count = data.member_count);
      case 'team_member_updated': case 'team_member_roles_updated': return this.members.set(data.user_id, memberOf(data.member));
      case 'user_timed_out': return this.members.has(data.user_id) && (this.members.get(data.user_id).timeout_until = data.until);
      case 'role_created': case 'role_updated': case 'roles_reordered': case 'role_deleted': return this.rolesChanged(type, data);
      case 'invite_created': /* who may make some hears of all, and lists his own */
        return (this.me === this.team.owner_id || data.by === this.me) && this.invites.set(data.code, pick(data.invite, ['code', 'max_uses', 'expires_at']));
      case 'invite_deleted': return this.invites.delete(data.code);
      case 'channel_created':
        this.channelCame(data.channel);
        return data.cloned_from && this.overrides.set(data.channel_id, null);
      case 'channel_permissions_updated': return this.overridden(data, data.role_id ?? data.user_id);
      case 'team_user_banned': return this.listsTeamBans && this.teamBans.set(data.user_id, pick(data, ['motive', 'expires_at']));
      case 'team_user_unbanned': return this.teamBans.delete(data.user_id);
      case 'channel_updated': case 'channel_archived': case 'channel_restored':
        return this.channels.has(data.channel_id) && this.channels.set(data.channel_id, { ...channelOf(data.channel), last_message_id: this.channels.get(data.channel_id).last_message_id });
      case 'channel_deleted':
        for (const part of [this.channels, this.messages, this.channelMembers, this.bans, this.overrides, this.unread]) part.delete(data.channel_id);
        return undefined;
      case 'channel_message': case 'message_reply': return this.posted(data);
      case 'message_updated': {
        const before = this.message(data);
        const { me, bookmarked } = { me: before.reactions, bookmarked: before.bookmarked };
        const after = { ...messageOf(data.message), reactions: me, bookmarked, reply_count: before.reply_count };
        this.messages.get(data.channel_id).set(data.message_id, after);
        const unread = this.unread.get(data.channel_id); /* what an edit says counts, not what was said before */
        if (unread && after.author !== this.me && after.id > (unread.last_read_id ?? '')) unread.mentions += this.mentionsMe(after) - this.mentionsMe(before);
        return undefined;
      }
      case 'message_deleted': return this.deleted(data);
      case 'reaction_added': return this.reacted(data, 1);
      case 'reaction_removed': return this.reacted(data, -1);
      case 'message_pinned': return (this.message(data).pinned = true);
      case 'message_unpinned': return (this.message(data).pinned = false);
      case 'bookmark_updated': return (this.message(data).bookmarked = data.bookmarked);
      case 'member_joined': return this.channelMembers.get(data.channel_id).set(data.user_id, pick(data.member, ['role', 'nickname']));
      case 'member_left': case 'user_kicked': return data.user_id && this.channelMembers.get(data.channel_id)?.delete(data.user_id);
      case 'member_role_updated': return this.channelMembers.get(data.channel_id).set(data.user_id, { role: data.new_role, nickname: data.member.nickname });
      case 'user_banned':
        if (!data.user_id) return undefined;
        this.channelMembers.get(data.channel_id)?.delete(data.user_id);
        return this.listsBans && this.bans.get(data.channel_id).set(data.user_id, data.motive);
      case 'user_unbanned': return data.user_id && this.bans.get(data.channel_id).delete(data.user_id);
      case 'unread_updated': return this.unread.set(data.channel_id, pick(data, ['unread', 'mentions', 'last_read_id']));
      case 'user_updated': return undefined; /* names are compared by id */
      default:
        if (!stateless.has(type)) this.unknown.push(type);
        return undefined;
    }
  }

  overridden(data, subject) {
    const overrides = this.overrides.get(data.channel_id);
    if (!overrides) return undefined;
    return data.allow.length + data.deny.length ? overrides.set(subject, pick(data, ['allow', 'deny'])) : overrides.delete(subject);
  }

  rolesChanged(type, data) {
    const roles = data.roles ?? (data.role ? [data.role] : []);
    for (const role of roles) this.roles.set(role.id, roleOf(role));
    if (type === 'role_deleted') {
      this.roles.delete(data.role_id);
      for (const overrides of this.overrides.values()) overrides?.delete(data.role_id);
      for (const member of this.members.values()) member.roles = member.roles.filter((id) => id !== data.role_id);
    }
    /* Positions follow from the order. */
    const order = data.role_ids ?? [];
    order.forEach((id, i) => this.roles.has(id) && (this.roles.get(id).position = order.length - 1 - i));
  }
}
