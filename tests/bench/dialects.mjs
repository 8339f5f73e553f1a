// Posts and pages of history through crust beside house: what lies below a dialect is the same for both. One JSON line each.
//   GUILDHALL_BUILD=build-bench node tests/bench/dialects.mjs [SECONDS] [ROUNDS]
// The dialects take turns of SECONDS (3), ROUNDS (7) times, one of the two first by turns; ratios are medians over the rounds. cpu: of api,
// messaging and moderation for one request; the client here and PostgreSQL share the machine, so that ratio holds better than that of rates.
import { Agent, request } from 'node:http';
import { Cluster } from '../system/lib/cluster.mjs';
import { Rest, newPerson } from '../system/lib/client.mjs';
import { unlimited } from '../system/lib/crowd.mjs';
import { uuidOf } from './lib/world.mjs';

const seconds = Number(process.argv[2] ?? 3), rounds = Number(process.argv[3] ?? 7);
const connections = 16, history = 200, page = 50;
const text = 'The quick brown fox jumps over the lazy dog, and then does it once more.';

const agent = new Agent({ keepAlive: true, maxSockets: connections });

function send(port, token, method, path, body) {
  return new Promise((done, failed) => {
    const headers = { authorization: `Bearer ${token}`, ...(body && { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }) };
    const rq = request({ host: '127.0.0.1', port, agent, method, path, headers }, (rs) => {
      let got = '';
      rs.setEncoding('utf8');
      rs.on('data', (chunk) => (got += chunk));
      rs.on('end', () => done({ status: rs.statusCode, body: got }));
    });
    rq.on('error', failed);
    rq.end(body);
  });
}

const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1];

const cluster = new Cluster({ environment: { ...unlimited, GUILDHALL_LOG_LEVEL: 'warn' } });
try {
  await cluster.start();
  const rest = new Rest([cluster.api]);
  const owner = await newPerson(rest, 'owner');
  cluster.ctl('team', 'create', 'Bench', '--owner', owner.username, '--template', 'crust');
  const crust = JSON.parse(cluster.ctl('token', 'create', '--dialect', 'crust', '--user', owner.username, '--json')).token;
  const port = cluster.copies.api[0].httpPort;
  const [{ channelID }] = JSON.parse((await send(port, crust, 'GET', '/crust/channels/')).body).response;
  const channel = uuidOf(channelID);
  const calls = {
    post: {
      house: () => send(port, owner.token, 'POST', `/v1/channels/${channel}/messages`, JSON.stringify({ content: text })),
      crust: () => send(port, crust, 'POST', `/crust/channels/${channelID}/messages/`, JSON.stringify({ message: text })),
      good: { house: (a) => a.status === 201, crust: (a) => a.status === 200 && JSON.parse(a.body).response?.message === text },
    },
    history: {
      house: () => send(port, owner.token, 'GET', `/v1/channels/${channel}/messages?limit=${page}`),
      crust: () => send(port, crust, 'GET', `/crust/search/messages?channelID=${channelID}&limit=${page}`),
      good: { house: (a) => JSON.parse(a.body).items?.length === page, crust: (a) => JSON.parse(a.body).response?.length === page },
    },
  };
  for (let i = 0; i < history; i++) await calls.post.house();

  const cpu = () => ['api', 'messaging', 'moderation'].flatMap((name) => cluster.copies[name]).reduce((sum, copy) => sum + copy.cpuSeconds(), 0);
  const turn = async (what, dialect, forSeconds) => {
    const end = performance.now() + forSeconds * 1000, begun = performance.now(), cpuBegun = cpu();
    let count = 0;
    await Promise.all(Array.from({ length: connections }, async () => {
      while (performance.now() < end) {
        const answer = await calls[what][dialect]();
        if (!calls[what].good[dialect](answer)) throw new Error(`${dialect} ${what}: ${answer.status} ${answer.body.slice(0, 300)}`);
        count++;
      }
    }));
    const took = (performance.now() - begun) / 1000;
    return { per_s: count / took, cpu_us: (cpu() - cpuBegun) * 1e6 / count };
  };

  for (const what of Object.keys(calls)) {
    const taken = { house: [], crust: [] };
    for (const dialect of ['house', 'crust']) await turn(what, dialect, 1);
    for (let round = 0; round < rounds; round++)
      for (const dialect of round % 2 ? ['crust', 'house'] : ['house', 'crust']) taken[dialect].push(await turn(what, dialect, seconds));
    const ratio = (key) => +median(taken.crust.map((t, i) => t[key] / taken.house[i][key])).toFixed(3);
    const of = (dialect) => ({ per_s: Math.round(median(taken[dialect].map((t) => t.per_s))), cpu_us: +median(taken[dialect].map((t) => t.cpu_us)).toFixed(1) });
    console.log(JSON.stringify({ bench: 'dialects', what, seconds, rounds, connections, house: of('house'), crust: of('crust'), rate_ratio: ratio('per_s'), cpu_ratio: ratio('cpu_us') }));
  }
} finally {
  agent.destroy();
  await cluster.destroy();
}
