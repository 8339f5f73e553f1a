// Thousands of sockets of one program in C (tests/soak/crowd.h) that resume by themselves and check every frame.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { build } from './cluster.mjs';
import { numberOf } from './story.mjs';

/** What thousands of sockets from one machine need. */
export const unlimited = {
  GUILDHALL_WS_SOCKETS_PER_ADDRESS: '0',
  GUILDHALL_WS_SOCKETS_PER_ACCOUNT: '0',
  GUILDHALL_WS_HANDSHAKES_PER_S: '0',
  GUILDHALL_WS_HANDSHAKES_PER_S_ADDRESS: '0',
  GUILDHALL_WS_OPS_PER_MIN: '0',
};

export class Crowd {
  /** sockets of all channels of the team under fire, spread over its people and the cluster's gateways; all are subscribed. Nobody posts
   *  until then. */
  static async gather(fire, sockets, { compress = true } = {}) {
    const crowd = new Crowd();
    crowd.fire = fire;
    crowd.child = spawn(join(build, 'tests/soak/guildhall-crowd'), compress ? ['--compress'] : [], { stdio: ['pipe', 'pipe', 'inherit'] });
    crowd.exited = once(crowd.child, 'exit');
    crowd.lines = createInterface({ input: crowd.child.stdout })[Symbol.asyncIterator]();
    const each = Math.floor(sockets / fire.channels.length);
    const plan = [
      ...fire.cluster.copies.gateway.map((copy) => `gateway 127.0.0.1 ${copy.wsPort}`),
      ...fire.people.map((person) => `user ${person.token}`),
      ...fire.channels.map((channel) => `group channel:${channel.id} ${each} 0 ${fire.people.length}`),
      'go',
    ];
    crowd.say(...plan);
    assert.equal((await crowd.lines.next()).value, 'ready', 'all sockets are subscribed');
    crowd.before = crowd.written();
    return crowd;
  }

  /** Messages in the database, by channel. */
  written() {
    const { channels, cluster } = this.fire;
    return channels.map((channel) => Number(cluster.pg.psql(`SELECT count(*) FROM messaging.messages WHERE kind <> 3 AND channel_id = ${numberOf(channel.id)}`)));
  }

  say(...lines) {
    this.child.stdin.write(lines.join('\n') + '\n');
  }

  churn(perSecond) {
    this.say(`churn ${perSecond}`);
  }

  /** After the last post: every socket has every message. Returns what was counted. */
  async settle() {
    const posted = this.written().map((count, i) => count - this.before[i]);
    this.say(`settle ${posted.join(' ')}`);
    const report = JSON.parse((await this.lines.next()).value);
    await this.exited;
    return { ...report, posted };
  }

  end() {
    this.child.kill('SIGKILL');
  }
}

/** Nothing lost, doubled, reordered or corrupt, every resume recovered, and each message of the log reached everybody. */
export function assertRight(report) {
  const wrong = Object.fromEntries(['lost', 'doubled', 'reordered', 'corrupt', 'not_recovered', 'refused', 'unready', 'behind'].filter((name) => report[name] > 0).map((name) => [name, report[name]]));
  assert.deepEqual(wrong, {}, JSON.stringify(report));
  assert.deepEqual(report.messages, report.posted, 'what reached the sockets is what is in the database');
  assert.ok(report.whole, JSON.stringify(report));
}
