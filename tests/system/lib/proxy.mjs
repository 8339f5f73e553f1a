// A wire that can be cut: a unix socket in front of another one.
import { createConnection, createServer } from 'node:net';
import { rmSync } from 'node:fs';

export class Wire {
  /** from: path to listen on; to: path of the real socket. */
  constructor(from, to) {
    Object.assign(this, { from, to, pairs: new Set(), silent: false, server: null, carried: 0 });
  }

  /** Open, at first and after `refuse`. */
  async open() {
    if (this.server) return;
    this.server = createServer((near) => {
      const far = createConnection(this.to);
      const pair = [near, far];
      this.pairs.add(pair);
      for (const [a, b] of [[near, far], [far, near]]) {
        a.on('data', (bytes) => {
          if (this.silent || pair.silent) return; // lost, as by a switch that dies
          this.carried += bytes.length;
          if (!b.write(bytes)) {
            a.pause();
            b.once('drain', () => a.resume());
          }
        });
        a.on('error', () => {});
        a.on('close', () => {
          b.destroy();
          this.pairs.delete(pair);
        });
      }
    });
    rmSync(this.from, { force: true });
    await new Promise((done, fail) => this.server.once('error', fail).listen(this.from, done));
  }

  /** Connections stay open and nothing gets through. What was swallowed stays lost: those connections are broken for good. */
  silence() {
    this.silent = true;
    for (const pair of this.pairs) pair.silent = true;
  }

  speak() {
    this.silent = false;
  }

  /** Connections are reset, new ones refused. */
  async refuse() {
    const { server } = this;
    this.server = null;
    const closed = server && new Promise((done) => server.close(done));
    for (const [near, far] of this.pairs) {
      near.destroy();
      far.destroy();
    }
    await closed;
  }
}
