// Limits as they are by default: answers with the headers that clients read.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Cluster } from './lib/cluster.mjs';
import { Rest, newPerson } from './lib/client.mjs';

const cluster = new Cluster({ environment: { GUILDHALL_LIMIT_REQUESTS_PER_S: '50', GUILDHALL_LIMIT_POSTS_PER_5S: '5' } });
let rest, owner, channel;

before(async () => {
  await cluster.start();
  rest = new Rest([cluster.api]);
  owner = await newPerson(rest, 'owner');
  const team = await owner.rest.ok('POST', '/v1/teams', { name: 'limits', joining: 'open' });
  channel = await owner.rest.ok('POST', '/v1/channels', { name: 'general', team_id: team.id });
}, { timeout: 120000 });
after(() => cluster.destroy(), { timeout: 60000 });

test('the sixth post within 5 s in a channel is 429 with Retry-After and RateLimit headers', async () => {
  const answers = [];
  for (let i = 0; i < 7; i++) answers.push(await owner.rest.call('POST', `/v1/channels/${channel.id}/messages`, { content: `${i}` }));
  assert.deepEqual(answers.slice(0, 5).map((a) => a.status), [201, 201, 201, 201, 201]);
  const refused = answers.find((a) => a.status === 429);
  assert.ok(refused);
  assert.equal(refused.json.code, 'rate_limited');
  assert.ok(Number(refused.headers.get('retry-after')) >= 1);
  for (const name of ['ratelimit-limit', 'ratelimit-remaining', 'ratelimit-reset']) assert.ok(refused.headers.get(name) !== null, name);
});

test('more than 50 requests at once with one token are limited, other tokens are not', async () => {
  const other = await newPerson(rest, 'other');
  const answers = await Promise.all(Array.from({ length: 120 }, () => owner.rest.call('GET', '/v1/me')));
  assert.ok(answers.some((a) => a.status === 429));
  assert.ok(answers.filter((a) => a.status === 200).length >= 40);
  assert.equal((await other.rest.call('GET', '/v1/me')).status, 200);
});
