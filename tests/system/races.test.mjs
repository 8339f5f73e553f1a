// Rights change while people post: the victim gets every message that was committed while he might read the channel, and not one of
// the others. What he might read when is told by the log: the place of each change's audience event among the messages.
// GUILDHALL_RACES says how many changes (default 300; the long run takes thousands).
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Cluster } from './lib/cluster.mjs';
import { Rest, Watcher, newPerson } from './lib/client.mjs';
import { assertPlain } from './lib/story.mjs';
import { random as generator, seed, until } from './lib/wait.mjs';

const changes = Number(process.env.GUILDHALL_RACES ?? 300);
const cluster = new Cluster({ copies: { api: 2, messaging: 2, gateway: 2 } });
let rest, owner, victim, posters, team, channel, role;

before(async () => {
  await cluster.start();
  rest = new Rest(cluster.copies.api.map((copy) => `http://127.0.0.1:${copy.httpPort}`));
  owner = await newPerson(rest, 'owner');
  victim = await newPerson(rest, 'victim');
  posters = [];
  team = await owner.rest.ok('POST', '/v1/teams', { name: 'races', joining: 'open' });
  for (let i = 0; i < 6; i++) posters.push(await newPerson(rest, 'poster'));
  for (const person of [victim, ...posters]) await person.rest.ok('PUT', `/v1/teams/${team.id}/members/${person.id}`, {});
  channel = await owner.rest.ok('POST', '/v1/channels', { name: 'races', team_id: team.id });
  for (const person of posters) await person.rest.ok('PUT', `/v1/channels/${channel.id}/members/${person.id}`, {});
  role = await owner.rest.ok('POST', `/v1/teams/${team.id}/roles`, { name: 'readers', permissions: [] });
  await owner.rest.ok('PUT', `/v1/channels/${channel.id}/overrides/${role.id}`, { allow: ['view_text'], deny: [] });
}, { timeout: 120000 });
after(() => cluster.destroy(), { timeout: 60000 });

/* Pairs of a change that takes the right and one that gives it back; both are one commit with an audience event. */
const at = (suffix) => `/v1/channels/${channel.id}${suffix}`;
const ofTeam = (suffix) => `/v1/teams/${team.id}${suffix}`;
const pairs = {
  ban: [() => ['PUT', at(`/bans/${victim.id}`), { motive: 'race' }], () => ['DELETE', at(`/bans/${victim.id}`)]],
  override: [() => ['PUT', at(`/overrides/${victim.id}`), { allow: [], deny: ['view_text'] }], () => ['DELETE', at(`/overrides/${victim.id}`)]],
  everyone: [
    () => ['PATCH', at(''), { private: true }],
    () => ['PATCH', at(''), { private: false }],
  ],
  role: [
    () => ['PATCH', at(''), { private: true }],
    () => ['PUT', ofTeam(`/members/${victim.id}/roles/${role.id}`), {}],
    () => ['DELETE', ofTeam(`/members/${victim.id}/roles/${role.id}`)],
    () => ['PATCH', at(''), { private: false }],
  ],
};

test(`${changes} changes of rights under posts, seed ${seed}`, { timeout: 1800000 }, async () => {
  const next = generator(seed);
  /* A gateway that cannot tell whether an event may be seen, because rights change faster than it asks, sends the socket away: it comes
   * back, resumes, and is told plainly from where on it knows. */
  const sockets = [0, 1].map((number) => new Watcher([cluster.ws(number)], victim.token, [`team:${team.id}`], { name: `gateway ${number}` }));
  await Promise.all(sockets.map((socket) => socket.ready));
  const stream = Object.keys(sockets[0].positions)[0];
  const teamId = BigInt(`0x${stream.split('-')[1]}`);

  let running = true;
  const posted = [];
  const posting = posters.map(async (person, n) => {
    for (let i = 0; running; i++) {
      /* Judged three times in vain, while rights change all the time, a post is told to come back (503); its nonce makes that safe. */
      const answer = await person.rest.sure('POST', at('/messages'), { content: `${n}.${i}`, nonce: `${n}.${i}` });
      assert.equal(answer.status, 201, answer.text);
      posted.push(answer.json);
    }
  });

  /* One after the other: which of them is which in the log follows from their order. */
  const done = []; // {kind, sees: whether the victim may read from here on}
  while (done.length < changes) {
    const kinds = Object.keys(pairs);
    const kind = kinds[Math.floor(next() * kinds.length)];
    for (const [i, step] of pairs[kind].entries()) {
      const answer = await owner.rest.sure(...step());
      assert.ok(answer.status < 300, answer.text);
      done.push({ kind, sees: i % 2 === 1 }); /* one takes, the next gives back */
      if (next() < 0.5) await new Promise((go) => setTimeout(go, next() * 8));
    }
  }
  running = false;
  await Promise.all(posting);
  const last = (await posters[0].rest.sure('POST', at('/messages'), { content: 'the end', nonce: 'the end' })).json;
  const told = (socket) => socket.positions[stream] >= last.seq;
  for (const socket of sockets) await until(`${socket.name} is at the end`, () => told(socket), 60000);

  const rows = cluster.pg.psql(`SELECT min(seq) FROM log.events WHERE rank = 1 AND id = ${BigInt.asIntN(64, teamId)} AND kind IN (40, 41)
    AND request_id IS NOT NULL GROUP BY request_id ORDER BY 1`).split('\n').filter(Boolean).map(Number);
  const marks = rows.slice(-done.length);
  assert.equal(marks.length, done.length, 'every change has its audience event');
  const maySee = (seq) => {
    let sees = true;
    for (let i = 0; i < marks.length && marks[i] < seq; i++) sees = done[i].sees;
    return sees;
  };
  const wanted = [...posted, last].filter((message) => maySee(message.seq)).map((message) => message.seq).sort((a, b) => a - b);
  assert.ok(wanted.length > 20 && wanted.length < posted.length, `${wanted.length} of ${posted.length} messages were to be seen`);
  for (const socket of sockets) {
    const got = socket.events.filter((f) => f.type === 'channel_message').map((f) => f.seq);
    const seen = new Set(got);
    const unsure = (seq) => socket.notRecovered.some((gap) => seq > gap.since && seq <= gap.at);
    assert.deepEqual(got.filter((seq) => !maySee(seq)), [], 'committed after the right was taken, and delivered');
    assert.deepEqual(wanted.filter((seq) => !seen.has(seq) && !unsure(seq)), [], 'lost, and not told');
    assert.deepEqual(got, [...seen].sort((a, b) => a - b), 'doubled or out of order');
    assertPlain(socket);
    assert.deepEqual(socket.errors, []);
    assert.ok(seen.size > 20, `${seen.size} messages came live or by resume, ${socket.closes.length} times sent away`);
    assert.ok(socket.closes.every((code) => code === 1012), `${socket.closes}`);
    console.log(`# ${socket.name}: ${seen.size} of ${wanted.length} messages, sent away ${socket.closes.length} times in ${done.length} changes`);
    socket.stop();
  }
});
