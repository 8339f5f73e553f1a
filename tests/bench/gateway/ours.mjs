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

  /** What only we are held to: stuck sockets beside others, ten thousand that resume. Each starts the processes anew. */
  async own(seconds) {
    await this.world.stop();
    const stuck = await benches.B6.run(this.world, seconds);
    await this.world.stop();
    const resumed = await benches.B11.run(this.world);
    return {
      values: { of_alone: stuck.values.of_alone, closed_s: stuck.values.closed_s, resumes_per_s: 10000 / resumed.values.all_s },
      faults: Object.fromEntries(Object.entries(stuck.faults).map(([kind, count]) => [kind, count + resumed.faults[kind]])),
      detail: { stuck: stuck.detail, resumed: resumed.detail },
    };
  }

  stop() {
    return this.world.stop();
  }

  destroy() {
    return this.world.destroy();
  }
}
