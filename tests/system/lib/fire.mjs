// A team under load, and the judgement afterwards: what was acknowledged is in the log once, and every socket saw what is in the log.
import assert from 'node:assert/strict';
import { Rest, Watcher, newPerson } from './client.mjs';
import { assertLogWhole, assertNonceOnce, assertPlain, assertSawAll, missingOf } from './story.mjs';
import { random, seed, sleep } from './wait.mjs';

export const long = process.env.GUILDHALL_TEST_LONG === '1';

export class Fire {
  /** people: beside the owner; gateways: the numbers of those that the watchers use (default: all). */
  static async light(cluster, { people = 1, channels = 3, gateways = cluster.copies.gateway.map((_, i) => i) } = {}) {
    const fire = new Fire();
    Object.assign(fire, { cluster, rnd: random(seed), acked: [], refused: [], watchers: [] });
    fire.rest = new Rest(cluster.copies.api.map((copy) => `http://127.0.0.1:${copy.httpPort}`));
    fire.owner = await newPerson(fire.rest, 'owner');
    fire.people = [fire.owner];
    fire.team = await fire.owner.rest.ok('POST', '/v1/teams', { name: 'under fire', joining: 'open' });
    for (let i = 0; i < people; i++) {
      const person = await newPerson(fire.rest, 'member');
      await person.rest.ok('PUT', `/v1/teams/${fire.team.id}/members/${person.id}`, {});
      fire.people.push(person);
    }
    fire.channels = [];
    for (let i = 0; i < channels; i++) fire.channels.push(await fire.owner.rest.ok('POST', '/v1/channels', { name: `channel ${i}`, team_id: fire.team.id }));
    for (const gateway of gateways)
      for (const person of fire.people)
        fire.watchers.push(new Watcher([cluster.ws(gateway)], person.token, [`team:${fire.team.id}`], { name: `${person.username} on gateway ${gateway}` }));
    await Promise.all(fire.watchers.map((watcher) => watcher.ready));
    return fire;
  }

  /** Posts until the function that it returns is called. Repeats what got no definite answer. */
  load({ pause = 100, ms = 60000 } = {}) {
    let running = true;
    const done = this.channels.flatMap((channel) => this.people.map(async (person, p) => {
      for (let n = 0; running; n++) {
        const nonce = `${channel.id.slice(-8)}-${p}-${this.acked.length}-${n}`;
        const answer = await person.rest.sure('POST', `/v1/channels/${channel.id}/messages`, { content: `message ${nonce}`, nonce }, { ms });
        assert.equal(answer.status, 201, answer.text);
        this.acked.push({ id: answer.json.id, channel: channel.id, seq: answer.json.seq });
        await sleep(this.rnd() * pause);
      }
    }));
    const ended = Promise.allSettled(done);
    return async () => {
      running = false;
      for (const poster of await ended) if (poster.status === 'rejected') throw poster.reason;
    };
  }

  /** plain: watchers may have been told to refetch (recovered:false). Returns how many deliveries were compared. */
  async judge({ plain = false, ms = 60000 } = {}) {
    const { cluster } = this;
    assertLogWhole(cluster.pg);
    assertNonceOnce(cluster.pg);
    assert.deepEqual(missingOf(cluster.pg, this.acked).slice(0, 3), [], 'everything acknowledged is there, once');
    const entitled = new Set(this.channels.map((channel) => channel.id));
    let seen = 0;
    for (const watcher of this.watchers) {
      seen += await assertSawAll(watcher, cluster.pg, entitled, { ms });
      assertPlain(watcher);
      if (!plain) assert.deepEqual(watcher.notRecovered, [], `${watcher.name}: every resume recovers`);
    }
    assert.deepEqual(cluster.unexpected, [], 'no process ended but by the test');
    return seen;
  }

  end() {
    for (const watcher of this.watchers) watcher.stop();
  }
}
