// Who may do what: every route of the table against everybody. A route without a row here fails, and so does a row without a route.
// A row says whose call succeeds (2xx) and how everybody else is turned down; after a refusal nothing may have changed.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Cluster } from './lib/cluster.mjs';
import { Rest, newPerson } from './lib/client.mjs';
import { Personas, personas } from './lib/personas.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '../..');
const cluster = new Cluster();
const p = new Personas(new Rest([cluster.api ?? 'http://127.0.0.1:1']));

before(async () => {
  await cluster.start();
  p.root = new Rest([cluster.api]);
  await p.create();
}, { timeout: 120000 });
after(() => cluster.destroy(), { timeout: 60000 });

/* ---- how somebody is answered. 'ok' is any 2xx. */

const everybody = (answer) => Object.fromEntries(personas.map((name) => [name, answer]));
const signedIn = { ...everybody('ok'), anonymous: 401 };
/* What one account does with itself; a bot's token never may, whatever its scopes. */
const personal = { ...signedIn, bot: 403, reader: 403 };
/* What a token without the scope is refused. */
const scoped = (policy) => ({ ...policy, reader: policy.reader === 401 ? 401 : 403 });
/* Whoever is not in the team does not learn that there is one. */
const inTeam = { ...signedIn, outsider: 404, banned: 404 };
const inChannel = { ...inTeam, denied: 404 };
/* Those with a permission; everybody else who sees the thing is told that one is missing. */
const only = (seen, ...who) => Object.fromEntries(personas.map((name) => [name, seen[name] !== 'ok' || who.includes(name) ? seen[name] : 403]));
const ownerOnly = scoped(only(inTeam, 'owner'));
const channelOwner = scoped(only(inChannel, 'owner'));
const moderators = scoped(only(inTeam, 'owner', 'moderator'));
const channelModerators = scoped(only(inChannel, 'owner', 'moderator'));
/* Writing: not in a timeout. */
const writing = scoped({ ...inChannel, timedout: 403 });
const posting = { ...writing, silenced: 403 };
/* A bot is its owner's; others do not learn that it is one of his. */
const botOwner = { ...everybody(404), owner: 'ok', anonymous: 401, bot: 403, reader: 403 };

/* ---- the table. call: what is sent, made anew for each persona (who); unless `harmless`, `unchanged` reads what a refusal must not
 * have changed. */

const team = () => `/v1/teams/${p.team.id}`;
const channel = () => `/v1/channels/${p.channel.id}`;
const own = (who) => p.id[who] ?? p.id.member;

const table = {
  'GET /openapi.json': { policy: everybody('ok'), call: () => ({ path: '/v1/openapi.json' }) },
  'GET /asyncapi.json': { policy: everybody('ok'), call: () => ({ path: '/v1/asyncapi.json' }) },

  'POST /accounts': { policy: everybody('ok'), call: () => ({ path: '/v1/accounts', body: { username: `n${randomUUID().slice(0, 12)}`, password: 'long enough' } }) },
  'POST /sessions': { policy: everybody('ok'), call: () => ({ path: '/v1/sessions', body: { username: p.owner.username, password: p.owner.password } }) },
  'GET /sessions': { policy: personal, call: () => ({ path: '/v1/sessions' }) },
  'DELETE /sessions/current': {
    policy: signedIn,
    call: async (who) => ({ path: '/v1/sessions/current', as: await spareToken(who) }),
  },
  'DELETE /sessions/{session}': {
    policy: personal,
    call: async (who) => {
      if (who === 'anonymous' || who === 'bot' || who === 'reader') return { path: `/v1/sessions/${p.team.id}` };
      const spare = await newPerson(p.root, 'spare');
      return { path: `/v1/sessions/${spare.session.session_id}`, as: spare.token };
    },
  },
  'GET /me': { policy: signedIn, call: () => ({ path: '/v1/me' }) },
  'PATCH /me': { policy: personal, call: () => ({ path: '/v1/me', body: { tagline: 'here' } }) },
  'DELETE /me': {
    policy: personal,
    call: async (who) => {
      if (who === 'anonymous' || who === 'bot' || who === 'reader') return { path: '/v1/me', body: { password: 'long enough' } };
      const spare = await newPerson(p.root, 'spare');
      return { path: '/v1/me', body: { password: spare.password }, as: spare.token };
    },
  },
  'GET /users': { policy: signedIn, call: () => ({ path: '/v1/users?query=own' }) },
  'GET /users/{user}': { policy: signedIn, call: () => ({ path: `/v1/users/${p.id.member}` }) },

  'POST /teams': { policy: scoped(signedIn), call: () => ({ path: '/v1/teams', body: { name: 'another' } }) },
  'GET /teams': { policy: signedIn, call: () => ({ path: '/v1/teams' }) },
  'GET /teams/{team}': { policy: inTeam, call: () => ({ path: team() }) },
  'PATCH /teams/{team}': { policy: ownerOnly, call: () => ({ path: team(), body: { description: randomUUID() } }), unchanged: team },
  'DELETE /teams/{team}': {
    policy: ownerOnly,
    call: async (who) => {
      if (who !== 'owner') return { path: team() };
      return { path: `/v1/teams/${(await p.owner.rest.ok('POST', '/v1/teams', { name: 'short' })).id}` };
    },
    unchanged: team,
  },
  'GET /teams/{team}/members': { policy: inTeam, call: () => ({ path: `${team()}/members` }) },
  'GET /teams/{team}/members/{user}': { policy: inTeam, call: () => ({ path: `${team()}/members/${p.id.member}` }) },
  'PUT /teams/{team}/members/{user}': {
    policy: { ...ownerOnly, outsider: 404 },
    call: async () => ({ path: `${team()}/members/${(await newPerson(p.root, 'added')).id}`, body: {} }),
    unchanged: () => `${team()}`,
  },
  'PATCH /teams/{team}/members/{user}': {
    /* One's own nickname: 25, which a timeout takes. */
    policy: scoped({ ...inTeam, timedout: 403 }),
    call: (who) => ({ path: `${team()}/members/${own(who)}`, body: { nickname: randomUUID().slice(0, 8) } }),
  },
  'DELETE /teams/{team}/members/{user}': {
    policy: moderators,
    call: async () => ({ path: `${team()}/members/${(await p.freshMember()).id}` }),
    unchanged: team,
  },
  'GET /teams/{team}/bans': { policy: moderators, call: () => ({ path: `${team()}/bans` }) },
  'GET /teams/{team}/bans/{user}': { policy: moderators, call: () => ({ path: `${team()}/bans/${p.id.banned}` }) },
  'PUT /teams/{team}/bans/{user}': {
    policy: moderators,
    call: async () => ({ path: `${team()}/bans/${(await p.freshMember()).id}`, body: { motive: 'matrix' } }),
    unchanged: team,
  },
  'DELETE /teams/{team}/bans/{user}': {
    policy: moderators,
    call: async () => {
      const person = await p.freshMember();
      await p.owner.rest.ok('PUT', `${team()}/bans/${person.id}`, { motive: 'x' });
      return { path: `${team()}/bans/${person.id}?motive=enough`, still: `${team()}/bans/${person.id}` };
    },
  },

  'POST /bots': { policy: personal, call: async (who) => ({ path: '/v1/bots', body: { username: `b${randomUUID().slice(0, 12)}` }, as: await spareToken(who) }) },
  'GET /bots': { policy: personal, call: () => ({ path: '/v1/bots' }) },
  'GET /bots/{bot}': { policy: botOwner, call: () => ({ path: `/v1/bots/${p.id.bot}` }) },
  'PATCH /bots/{bot}': { policy: botOwner, call: () => ({ path: `/v1/bots/${p.id.bot}`, body: { tagline: randomUUID() } }), unchanged: () => `/v1/bots/${p.id.bot}` },
  'DELETE /bots/{bot}': {
    policy: botOwner,
    call: async () => {
      const { id } = await freshBot();
      return { path: `/v1/bots/${id}`, still: `/v1/bots/${id}` };
    },
  },
  'POST /bots/{bot}/tokens': { policy: botOwner, call: () => ({ path: `/v1/bots/${p.id.bot}/tokens`, body: { label: 'x', scopes: ['read'] } }), unchanged: () => `/v1/bots/${p.id.bot}/tokens` },
  'GET /bots/{bot}/tokens': { policy: botOwner, call: () => ({ path: `/v1/bots/${p.id.bot}/tokens` }) },
  'PATCH /bots/{bot}/tokens/{token}': { policy: botOwner, call: botTokenCall({ label: 'y' }) },
  'DELETE /bots/{bot}/tokens/{token}': { policy: botOwner, call: botTokenCall(undefined) },

  'PUT /teams/{team}/members/{user}/timeout': {
    policy: moderators,
    call: async () => {
      const id = (await p.freshMember()).id;
      return { path: `${team()}/members/${id}/timeout`, body: { seconds: 60 }, still: `${team()}/members/${id}` };
    },
  },
  'DELETE /teams/{team}/members/{user}/timeout': {
    policy: moderators,
    call: async () => {
      const id = (await p.freshMember()).id;
      await p.owner.rest.ok('PUT', `${team()}/members/${id}/timeout`, { seconds: 3600 });
      return { path: `${team()}/members/${id}/timeout`, still: `${team()}/members/${id}` };
    },
  },
  'GET /teams/{team}/audit': { policy: moderators, call: () => ({ path: `${team()}/audit` }) },
  'POST /teams/{team}/invites': { policy: scoped({ ...inTeam, timedout: 403 }), call: () => ({ path: `${team()}/invites`, body: {} }) },
  'GET /teams/{team}/invites': { policy: scoped({ ...inTeam, timedout: 403 }), call: () => ({ path: `${team()}/invites` }) },
  'GET /invites/{code}': { policy: { ...signedIn, banned: 404 }, call: async () => ({ path: `/v1/invites/${await freshInvite()}` }) },
  'DELETE /invites/{code}': {
    policy: ownerOnly,
    call: async () => {
      const code = await freshInvite();
      return { path: `/v1/invites/${code}`, still: `/v1/invites/${code}` };
    },
  },
  'POST /invites/{code}/accept': {
    policy: { ...scoped(signedIn), banned: 403 },
    call: async (who) => {
      /* Whoever is not in the team comes in, so somebody like him does. */
      const as = who === 'outsider' ? (await newPerson(p.root, 'invited')).token : undefined;
      return { path: `/v1/invites/${await freshInvite()}/accept`, body: {}, as };
    },
  },

  'POST /teams/{team}/roles': { policy: ownerOnly, call: () => ({ path: `${team()}/roles`, body: { name: 'r' } }), unchanged: () => `${team()}/roles` },
  'GET /teams/{team}/roles': { policy: inTeam, call: () => ({ path: `${team()}/roles` }) },
  'PUT /teams/{team}/roles/order': {
    policy: ownerOnly,
    call: async () => ({ path: `${team()}/roles/order`, body: { role_ids: (await p.owner.rest.ok('GET', `${team()}/roles`)).items.map((role) => role.id) } }),
    unchanged: () => `${team()}/roles`,
  },
  'GET /roles/{role}': { policy: inTeam, call: () => ({ path: `/v1/roles/${p.role.id}` }) },
  'PATCH /roles/{role}': { policy: ownerOnly, call: async () => ({ path: `/v1/roles/${await freshRole()}`, body: { color: 7 } }), unchanged: () => `${team()}/members/${p.id.moderator}` },
  'DELETE /roles/{role}': {
    policy: ownerOnly,
    call: async () => {
      const role = await freshRole();
      return { path: `/v1/roles/${role}`, still: `/v1/roles/${role}` };
    },
  },
  'PUT /teams/{team}/members/{user}/roles/{role}': {
    policy: ownerOnly,
    call: async () => ({ path: `${team()}/members/${p.id.member}/roles/${await freshRole()}`, body: {} }),
    unchanged: () => `${team()}/members/${p.id.member}`,
  },
  'DELETE /teams/{team}/members/{user}/roles/{role}': {
    policy: ownerOnly,
    call: async () => {
      const role = await freshRole();
      await p.owner.rest.ok('PUT', `${team()}/members/${p.id.member}/roles/${role}`, {});
      return { path: `${team()}/members/${p.id.member}/roles/${role}` };
    },
    unchanged: () => `${team()}/members/${p.id.member}`,
  },
  'GET /channels/{channel}/overrides': { policy: inChannel, call: () => ({ path: `${channel()}/overrides` }) },
  'GET /channels/{channel}/overrides/{subject}': { policy: inChannel, call: () => ({ path: `${channel()}/overrides/${p.id.silenced}` }) },
  'PUT /channels/{channel}/overrides/{subject}': {
    policy: channelOwner,
    call: () => ({ path: `${channel()}/overrides/${p.id.member}`, body: { allow: ['embed_links'], deny: [] } }),
    unchanged: () => `${channel()}/overrides`,
  },
  'DELETE /channels/{channel}/overrides/{subject}': {
    policy: channelOwner,
    call: async () => {
      const id = (await p.freshMember()).id;
      await p.owner.rest.ok('PUT', `${channel()}/overrides/${id}`, { allow: ['embed_links'], deny: [] });
      return { path: `${channel()}/overrides/${id}` };
    },
    unchanged: () => `${channel()}/overrides`,
  },
  'GET /channels/{channel}/preferences': { policy: inChannel, call: () => ({ path: `${channel()}/preferences` }) },
  'PUT /channels/{channel}/preferences': { policy: scoped(inChannel), call: () => ({ path: `${channel()}/preferences`, body: { flag: 'pinned' } }) },
  'GET /channels/{channel}/permissions': { policy: inChannel, call: () => ({ path: `${channel()}/permissions?explain=1` }) },

  'POST /channels': { policy: scoped(only(inTeam, 'owner')), call: () => ({ path: '/v1/channels', body: { name: 'new', team_id: p.team.id } }) },
  'GET /channels': { policy: signedIn, call: () => ({ path: '/v1/channels' }) },
  'GET /channels/{channel}': { policy: inChannel, call: () => ({ path: channel() }) },
  'PATCH /channels/{channel}': { policy: channelOwner, call: () => ({ path: channel(), body: { topic: randomUUID() } }), unchanged: channel },
  'DELETE /channels/{channel}': { policy: channelOwner, call: async () => freshChannelCall('') },
  'POST /channels/{channel}/duplicate': {
    /* Whoever sees it and may make channels. */
    policy: channelOwner,
    call: () => ({ path: `${channel()}/duplicate`, body: { name: 'copy' } }),
    unchanged: channel,
  },
  'POST /channels/{channel}/archive': { policy: channelOwner, call: async () => freshChannelCall('/archive') },
  'POST /channels/{channel}/restore': {
    policy: channelOwner,
    call: async () => {
      const id = await p.freshChannel();
      await p.owner.rest.ok('POST', `/v1/channels/${id}/archive`, {});
      return { path: `/v1/channels/${id}/restore`, body: {}, still: `/v1/channels/${id}` };
    },
  },
  'GET /channels/{channel}/members': { policy: inChannel, call: () => ({ path: `${channel()}/members` }) },
  'PUT /channels/{channel}/members/{user}': {
    policy: writing,
    call: (who) => ({ path: `${channel()}/members/${own(who)}`, body: {} }),
  },
  'PATCH /channels/{channel}/members/{user}': {
    policy: channelOwner,
    call: async () => {
      const id = (await p.freshMember()).id;
      await p.owner.rest.ok('PUT', `${channel()}/members/${id}`, {});
      return { path: `${channel()}/members/${id}`, body: { role: 'moderator' } };
    },
    unchanged: () => `${channel()}/members?limit=100`,
  },
  'DELETE /channels/{channel}/members/{user}': {
    policy: scoped(inChannel), /* leaving is left to whoever is in a timeout */
    call: async (who) => {
      await p.rest[p.id[who] ? 'owner' : 'owner'].call('PUT', `${channel()}/members/${own(who)}`, {});
      return { path: `${channel()}/members/${own(who)}` };
    },
  },
  'POST /channels/{channel}/members/{user}/kick': {
    policy: channelModerators,
    call: async () => {
      const id = (await p.freshMember()).id;
      await p.owner.rest.ok('PUT', `${channel()}/members/${id}`, {});
      return { path: `${channel()}/members/${id}/kick`, body: {} };
    },
    unchanged: () => `${channel()}/members?limit=100`,
  },
  'GET /channels/{channel}/bans': { policy: channelModerators, call: () => ({ path: `${channel()}/bans` }) },
  'GET /channels/{channel}/bans/{user}': {
    policy: channelModerators,
    call: async () => {
      const id = (await p.freshMember()).id;
      await p.owner.rest.ok('PUT', `${channel()}/bans/${id}`, { motive: 'x' });
      return { path: `${channel()}/bans/${id}` };
    },
  },
  'PUT /channels/{channel}/bans/{user}': {
    policy: channelModerators,
    call: async () => ({ path: `${channel()}/bans/${(await p.freshMember()).id}`, body: { motive: 'x' } }),
    unchanged: () => `${channel()}/bans?limit=100`,
  },
  'DELETE /channels/{channel}/bans/{user}': {
    policy: channelModerators,
    call: async () => {
      const id = (await p.freshMember()).id;
      await p.owner.rest.ok('PUT', `${channel()}/bans/${id}`, { motive: 'x' });
      return { path: `${channel()}/bans/${id}`, still: `${channel()}/bans/${id}` };
    },
  },

  'POST /direct': {
    policy: scoped(signedIn),
    call: async () => ({ path: '/v1/direct', body: { user_ids: [(await newPerson(p.root, 'met')).id] } }),
  },
  'GET /direct': { policy: signedIn, call: () => ({ path: '/v1/direct' }) },

  'POST /channels/{channel}/messages': { policy: posting, call: () => ({ path: `${channel()}/messages`, body: { content: 'hello' } }), unchanged: () => `${channel()}/messages?limit=1` },
  'GET /channels/{channel}/messages': { policy: inChannel, call: () => ({ path: `${channel()}/messages` }) },
  'GET /channels/{channel}/messages/{message}': { policy: inChannel, call: async () => ({ path: `${channel()}/messages/${await p.freshMessage()}` }) },
  'PATCH /channels/{channel}/messages/{message}': {
    /* One's own message is edited by its author alone. */
    policy: { ...scoped(only(inChannel, 'member', 'moderator', 'owner', 'bot')) },
    call: async (who) => {
      const message = await p.freshMessage(['member', 'moderator', 'owner', 'bot'].includes(who) ? who : 'owner');
      return { path: `${channel()}/messages/${message}`, body: { content: 'edited' }, still: `${channel()}/messages/${message}` };
    },
  },
  'DELETE /channels/{channel}/messages/{message}': {
    policy: channelModerators,
    call: async () => {
      const message = await p.freshMessage();
      return { path: `${channel()}/messages/${message}`, still: `${channel()}/messages/${message}` };
    },
  },
  'POST /channels/{channel}/messages/{message}/replies': {
    policy: posting,
    call: async () => ({ path: `${channel()}/messages/${await p.freshMessage()}/replies`, body: { content: 'a reply' } }),
  },
  'GET /channels/{channel}/messages/{message}/replies': { policy: inChannel, call: async () => ({ path: `${channel()}/messages/${await p.freshMessage()}/replies` }) },
  'GET /channels/{channel}/messages/{message}/history': {
    /* Its author, and who may edit or delete any message. */
    policy: only(inChannel, 'owner', 'moderator', 'member'),
    call: async (who) => {
      const by = who === 'member' ? 'member' : 'owner', message = await p.freshMessage(by);
      await p.rest[by].ok('PATCH', `${channel()}/messages/${message}`, { content: 'other' });
      return { path: `${channel()}/messages/${message}/history` };
    },
  },
  'PUT /channels/{channel}/messages/{message}/reactions/{emoji}': { policy: posting, call: onMessage('/reactions/%F0%9F%91%8D') },
  'DELETE /channels/{channel}/messages/{message}/reactions/{emoji}': { policy: posting, call: onMessage('/reactions/%F0%9F%91%8D') },
  'GET /channels/{channel}/messages/{message}/reactions/{emoji}': { policy: inChannel, call: onMessage('/reactions/%F0%9F%91%8D') },
  'PUT /channels/{channel}/messages/{message}/pin': { policy: channelModerators, call: onMessage('/pin', {}) },
  'DELETE /channels/{channel}/messages/{message}/pin': { policy: channelModerators, call: onMessage('/pin') },
  'GET /channels/{channel}/pins': { policy: inChannel, call: () => ({ path: `${channel()}/pins` }) },
  'PUT /channels/{channel}/messages/{message}/bookmark': { policy: scoped(inChannel), call: onMessage('/bookmark', {}) },
  'DELETE /channels/{channel}/messages/{message}/bookmark': { policy: scoped(inChannel), call: onMessage('/bookmark') },
  'GET /bookmarks': { policy: signedIn, call: () => ({ path: '/v1/bookmarks' }) },
  'PUT /channels/{channel}/read': { policy: scoped(inChannel), call: () => ({ path: `${channel()}/read`, body: {} }) },
  'POST /channels/{channel}/attachments': { policy: writing, call: () => uploadCall('one') },
  'GET /attachments/{attachment}': { policy: everybody('ok'), call: async () => ({ path: (await freshFile('one')).url }) },
  'GET /attachments/{attachment}/preview': { policy: everybody('ok'), call: async () => ({ path: (await freshFile(dot)).preview.url }) },
  'GET /search/messages': { policy: signedIn, call: () => ({ path: '/v1/search/messages?query=hello' }) },
  'GET /unread': { policy: signedIn, call: () => ({ path: '/v1/unread' }) },

  'POST /channels/{channel}/webhooks': { policy: channelOwner, call: async () => ({ path: `/v1/channels/${await p.freshChannel()}/webhooks`, body: { name: 'w' } }) },
  'GET /channels/{channel}/webhooks': { policy: channelOwner, call: () => ({ path: `${channel()}/webhooks` }) },
  'GET /webhooks/{webhook}': { policy: channelOwner, call: webhookCall('GET') },
  'PATCH /webhooks/{webhook}': { policy: channelOwner, call: webhookCall('PATCH', { name: 'other' }) },
  'DELETE /webhooks/{webhook}': { policy: channelOwner, call: webhookCall('DELETE') },
  /* The token is the right, whoever shows it. */
  'POST /webhooks/{webhook}/{secret}': {
    policy: everybody('ok'),
    call: async () => {
      const hook = await freshWebhook();
      return { path: `/v1/webhooks/${hook.id}/${hook.token}`, body: { content: 'from outside' } };
    },
  },
  'DELETE /webhooks/{webhook}/{secret}': {
    policy: everybody('ok'),
    call: async () => {
      const hook = await freshWebhook();
      return { path: `/v1/webhooks/${hook.id}/${hook.token}` };
    },
  },
  'GET /channels/{channel}/commands': { policy: inChannel, call: () => ({ path: `${channel()}/commands` }) },
  'POST /channels/{channel}/commands/{command}': { policy: posting, call: () => ({ path: `${channel()}/commands/shrug`, body: {} }), unchanged: () => `${channel()}/messages?limit=1` },

  'POST /channels/{channel}/typing': { policy: posting, call: () => ({ path: `${channel()}/typing`, body: {} }) },
  'GET /users/{user}/presence': { policy: signedIn, call: () => ({ path: `/v1/users/${p.id.member}/presence` }) },
  'GET /me/presence': { policy: signedIn, call: () => ({ path: '/v1/me/presence' }) },
  'PUT /me/presence': { policy: scoped(signedIn), call: () => ({ path: '/v1/me/presence', body: { status: 'online' } }) },
  'PUT /me/status': { policy: scoped(signedIn), call: () => ({ path: '/v1/me/status', body: { message: 'busy' } }) },
  'DELETE /me/status': { policy: scoped(signedIn), call: () => ({ path: '/v1/me/status' }) },
};

/* A second token of the persona, to be spent. */
async function spareToken(who) {
  if (who === 'anonymous') return null;
  if (who !== 'bot' && who !== 'reader') return (await newPerson(p.root, 'spare')).token;
  const scopes = who === 'bot' ? ['read', 'write', 'channels', 'moderate', 'teams'] : ['read'];
  return (await p.owner.rest.ok('POST', `/v1/bots/${p.id.bot}/tokens`, { label: 'spare', scopes })).token;
}

async function freshChannelCall(rest) {
  const id = await p.freshChannel();
  return { path: `/v1/channels/${id}${rest}`, body: rest ? {} : undefined, still: `/v1/channels/${id}` };
}

/* An account has 25 at most: the last one makes room. */
let lastBot = null;
async function freshBot() {
  if (lastBot) await p.owner.rest.call('DELETE', `/v1/bots/${lastBot}`);
  const bot = await p.owner.rest.ok('POST', '/v1/bots', { username: `b${randomUUID().slice(0, 12)}` });
  lastBot = bot.id;
  return bot;
}
const freshInvite = async () => (await p.owner.rest.ok('POST', `${team()}/invites`, {})).code;
const freshRole = async () => (await p.owner.rest.ok('POST', `${team()}/roles`, { name: 'fresh', permissions: [] })).id;
function botTokenCall(body) {
  return async () => {
    const bot = await freshBot();
    const { id } = await p.owner.rest.ok('POST', `/v1/bots/${bot.id}/tokens`, { label: 'x', scopes: ['read'] });
    return { path: `/v1/bots/${bot.id}/tokens/${id}`, body, still: `/v1/bots/${bot.id}/tokens` };
  };
}
const dot = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==', 'base64');
function uploadCall(bytes) {
  const body = Buffer.concat([Buffer.from('--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n'), Buffer.from(bytes), Buffer.from('\r\n--b--\r\n')]);
  return { path: `${channel()}/attachments`, body: new Uint8Array(body), headers: { 'content-type': 'multipart/form-data; boundary=b' } };
}
async function freshFile(bytes) {
  const { path, body, headers } = uploadCall(bytes);
  return p.owner.rest.ok('POST', path, body, headers);
}
/* A channel takes 15. */
async function freshWebhook() {
  return p.owner.rest.ok('POST', `/v1/channels/${await p.freshChannel()}/webhooks`, { name: 'fresh' });
}
function webhookCall(method, body) {
  return async () => {
    const { id } = await freshWebhook();
    return { path: `/v1/webhooks/${id}`, body, still: method === 'GET' ? undefined : `/v1/webhooks/${id}` };
  };
}
function onMessage(suffix, body) {
  return async () => {
    const message = await p.freshMessage();
    return { path: `${channel()}/messages/${message}${suffix}`, body, still: `${channel()}/messages/${message}` };
  };
}

/* ---- the walk */

const routes = readFileSync(join(root, 'services/api/dialects/house/routes.tbl.h'), 'utf8')
  .split('\n').map((line) => /^ROUTE\("(\w+)",\s*"([^"]*)",\s*(\w+),\s*(\w+),/.exec(line)).filter(Boolean)
  .map(([, method, path, auth, scope]) => ({ name: `${method} ${path}`, method, path, auth, scope }));

test('every route has its row in the matrix, and every row a route', () => {
  assert.ok(routes.length > 50);
  const missing = routes.filter((route) => !(route.name in table)).map((route) => route.name);
  const stale = Object.keys(table).filter((name) => !routes.some((route) => route.name === name));
  assert.deepEqual({ missing, stale }, { missing: [], stale: [] });
});

test('who gives no token, and whose token lacks the scope, is refused by every route that asks for one', () => {
  for (const route of routes) {
    const policy = table[route.name]?.policy;
    if (!policy) continue;
    if (route.auth === 'SESSION') assert.equal(policy.anonymous, 401, route.name);
    if (route.auth === 'SESSION' && route.scope !== 'READ') assert.notEqual(policy.reader, 'ok', route.name);
  }
});

for (const route of routes) {
  const row = table[route.name];
  if (!row) continue;
  test(route.name, { timeout: 60000 }, async () => {
    for (const who of personas) {
      const wanted = row.policy[who];
      const call = await row.call(who);
      const look = call.still ?? (row.unchanged ? row.unchanged() : null);
      const rest = call.as !== undefined ? p.root.as(call.as) : p.rest[who];
      const before = wanted !== 'ok' && look ? await p.owner.rest.ok('GET', look) : null;
      const answer = await rest.call(route.method, call.path, call.body, call.headers);
      if (wanted === 'ok') {
        assert.ok(answer.status >= 200 && answer.status < 300, `${who}: ${answer.status} ${answer.text}`);
        continue;
      }
      assert.equal(answer.status, wanted, `${who}: ${answer.text}`);
      assert.equal(answer.headers.get('content-type'), 'application/problem+json', who);
      assert.equal(answer.json.status, wanted, who);
      assert.ok(answer.json.code && answer.json.trace_id, who);
      if (wanted === 403) assert.ok(answer.json.why, `${who}: ${answer.text}`);
      if (before) assert.deepEqual(await p.owner.rest.ok('GET', look), before, `${who} was refused and changed something`);
    }
  });
}
