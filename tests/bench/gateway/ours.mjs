// Guildhall under the same measurements as its peers: the whole path, from a POST through messaging, PostgreSQL and the bus.
import { benches, cpuOf, oneChannel } from '../lib/benches.mjs';
import { World } from '../lib/world.mjs';

export class Guildhall {
  constructor() {
    this.world = new World();
  }

  async create() {
    await this.world.create();
  }

  start() {
    return this.world.start();
  }

  async load(sockets, senders, options) {
    const report = await oneChannel(this.world, sockets, options, senders);
    return { report, server: report.processes.gateway, detail: { cpu_s: cpuOf(report) } };
  }

  /** 5 of 205 sockets never read. Starts the processes anew, as `resumed` does. */
  async stuck(seconds) {
    await this.world.stop();
    const { values, faults, detail } = await benches.B6.run(this.world, seconds);
    return { values, faults, detail };
  }

  /** Ten thousand come back to a new gateway, each 20 messages behind. */
  async resumed() {
    await this.world.stop();
    try {
      const { values, faults, detail } = await benches.B11.run(this.world);
      return { values: { per_s: 10000 / values.all_s }, faults, detail };
    } catch (error) {
      const metrics = await this.world.cluster.copies.gateway[0].metrics().catch(() => ({}));
      const why = Object.entries(metrics).filter(([name, count]) => /resume/.test(name) && count > 0).map((pair) => pair.join(' '));
      throw new Error(`${error.message}; ${why.join(', ')}`);
    }
  }

  stop() {
    return this.world.stop();
  }

  destroy() {
    return this.world.destroy();
  }
}
