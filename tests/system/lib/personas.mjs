// Everybody whom the authorization matrix asks: one team with one channel, and what each of them is in it.
import { newPerson } from './client.mjs';

export const personas = ['anonymous', 'outsider', 'banned', 'member', 'denied', 'silenced', 'timedout', 'moderator', 'owner', 'bot', 'reader'];

/** What the moderators' role gives. */
export const moderatorPermissions = ['kick_members', 'ban_members', 'moderate_members', 'view_audit_log', 'manage_nicknames',
  'delete_any_message', 'pin_messages', 'moderate_channel', 'mention_everyone'];

export class Personas {
  constructor(rest) {
    this.root = rest;
  }

  async create() {
    const owner = (this.owner = await newPerson(this.root, 'owner'));
    this.team = await owner.rest.ok('POST', '/v1/teams', { name: 'matrix' });
    this.channel = await owner.rest.ok('POST', '/v1/channels', { name: 'matrix', team_id: this.team.id });
    this.rest = { anonymous: this.root.as(null), owner: owner.rest };
    this.id = { anonymous: null, owner: owner.id };
    this.people = { owner };
    for (const name of ['outsider', 'banned', 'member', 'denied', 'silenced', 'timedout', 'moderator']) {
      const person = await newPerson(this.root, name);
      this.people[name] = person;
      this.rest[name] = person.rest;
      this.id[name] = person.id;
      if (name !== 'outsider') await this.join(person.id);
    }
    const role = await owner.rest.ok('POST', `/v1/teams/${this.team.id}/roles`, { name: 'moderators', permissions: moderatorPermissions });
    this.role = role;
    await owner.rest.ok('PUT', `/v1/teams/${this.team.id}/members/${this.id.moderator}/roles/${role.id}`, {});
    await this.shape(this.channel.id);
    await owner.rest.ok('PUT', `/v1/teams/${this.team.id}/bans/${this.id.banned}`, { motive: 'matrix' });
    await owner.rest.ok('PUT', `/v1/teams/${this.team.id}/members/${this.id.timedout}/timeout`, { seconds: 86400 });
    /* A bot that may do what a member may, and one whose token only reads. */
    const bot = await owner.rest.ok('POST', '/v1/bots', { username: `matrix_bot_${Date.now().toString(36)}` });
    await this.join(bot.id);
    const all = await owner.rest.ok('POST', `/v1/bots/${bot.id}/tokens`, { label: 'all', scopes: ['read', 'write', 'channels', 'moderate', 'teams'] });
    const few = await owner.rest.ok('POST', `/v1/bots/${bot.id}/tokens`, { label: 'few', scopes: ['read'] });
    this.id.bot = this.id.reader = bot.id;
    this.rest.bot = this.root.as(all.token);
    this.rest.reader = this.root.as(few.token);
    this.token = Object.fromEntries(personas.map((name) => [name, this.rest[name].token]));
    return this;
  }

  async join(id) {
    await this.owner.rest.ok('PUT', `/v1/teams/${this.team.id}/members/${id}`, {});
  }

  /** The overrides that make `denied` and `silenced` what they are, in a channel. */
  async shape(channel) {
    await this.owner.rest.ok('PUT', `/v1/channels/${channel}/overrides/${this.id.denied}`, { allow: [], deny: ['view_text'] });
    await this.owner.rest.ok('PUT', `/v1/channels/${channel}/overrides/${this.id.silenced}`, { allow: [], deny: ['send_messages', 'add_reactions'] });
  }

  /** A channel of its own for a call that changes or ends it. */
  async freshChannel(extra = {}) {
    const channel = await this.owner.rest.ok('POST', '/v1/channels', { name: 'fresh', team_id: this.team.id, ...extra });
    await this.shape(channel.id);
    return channel.id;
  }

  async freshMember() {
    const person = await newPerson(this.root, 'fresh');
    await this.join(person.id);
    return person;
  }

  /** by: a persona that may post, or the owner. */
  async freshMessage(by = 'owner', channel = this.channel.id) {
    return (await this.rest[by].ok('POST', `/v1/channels/${channel}/messages`, { content: `by ${by}` })).id;
  }
}
