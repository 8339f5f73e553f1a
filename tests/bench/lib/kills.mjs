// B7: every process is killed once under load by its pid and comes back as under a supervisor; all that was acknowledged has to
// reach every watcher once and in the log's order, and it is measured how long after each kill that goes on.
import { randomUUID } from 'node:crypto';
import { Cluster } from '../../system/lib/cluster.mjs';
import { Rest, Watcher, newPerson } from '../../system/lib/client.mjs';
import { sleep, until } from '../../system/lib/wait.mjs';

const postsPerSecond = 500, posters = 16, watchers = 4;

export async function killed() {
  const cluster = new Cluster({ copies: { api: 2, messaging: 2, gateway: 2 }, supervise: true, environment: { GUILDHALL_LOG_LEVEL: 'warn' } });
  const watching = [];
  let running = true;
  try {
    await cluster.start();
    const rest = new Rest(cluster.copies.api.map((copy) => `http://127.0.0.1:${copy.httpPort}`));
    const people = [];
    for (let i = 0; i < posters; i++) people.push(await newPerson(rest, 'poster'));
    const [owner] = people;
    const team = await owner.rest.ok('POST', '/v1/teams', { name: 'kills', joining: 'open' });
    for (const person of people.slice(1)) await person.rest.ok('PUT', `/v1/teams/${team.id}/members/${person.id}`, {});
    const channel = await owner.rest.ok('POST', '/v1/channels', { name: 'kills', team_id: team.id });
    for (let i = 0; i < watchers; i++) {
      watching.push(new Watcher([cluster.ws(i % 2), cluster.ws((i + 1) % 2)], people[i].token, [`channel:${channel.id}`], { name: `w${i}` }));
      await watching[i].ready;
    }
    const acknowledged = []; // {id, seq, at}
    const poster = async (person, number) => {
      for (let n = 0; running; n++) {
        const begun = performance.now();
        const answer = await person.rest.sure('POST', `/v1/channels/${channel.id}/messages`, { content: `${number}.${n}`, nonce: randomUUID() });
        if (answer.status !== 201) throw new Error(`a post was answered ${answer.status} ${answer.text}`);
        acknowledged.push({ id: answer.json.id, seq: answer.json.seq, at: performance.now() });
        await sleep(Math.max(0, (1000 * posters) / postsPerSecond - (performance.now() - begun)));
      }
    };
    const posting = people.map(poster);
    await sleep(1500);
    const gaps = {};
    for (const copy of cluster.all().sort(() => 0)) {
      const at = performance.now();
      const before = acknowledged.length;
      copy.kill9();
      const seen = () => {
        const next = acknowledged.slice(before).find((message) => message.at > at);
        return next && watching.every((watcher) => watcher.live && watcher.events.some((e) => e.data.message_id === next.id));
      };
      await until(`messages flow again after ${copy.name} was killed`, seen, 30000, 10);
      gaps[copy.name] = (performance.now() - at) / 1000;
      await sleep(1000);
      await copy.ready();
    }
    running = false;
    await Promise.all(posting);
    const wanted = new Map(acknowledged.map((message) => [message.id, message.seq]));
    await until('all watchers have all', () => watching.every((w) => w.live && new Set(w.events.map((e) => e.data.message_id)).size >= wanted.size), 30000).catch(() => {});
    const counts = { lost: 0, doubled: 0, reordered: 0 };
    for (const watcher of watching) {
      const messages = watcher.events.filter((e) => e.type === 'channel_message');
      const ids = messages.map((e) => e.data.message_id);
      counts.lost += [...wanted.keys()].filter((id) => !ids.includes(id)).length;
      counts.doubled += ids.length - new Set(ids).size;
      counts.reordered += messages.filter((e, i) => i > 0 && e.seq <= messages[i - 1].seq).length;
      if (watcher.notRecovered.length) throw new Error(`a resume was not recovered: ${JSON.stringify(watcher.notRecovered)}`);
    }
    return { values: { ...counts, gap_s: Math.max(...Object.values(gaps)) }, faults: counts, detail: { gaps_s: gaps, posts: wanted.size } };
  } finally {
    running = false;
    for (const watcher of watching) watcher.stop();
    await cluster.destroy();
  }
}
