export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Waits until `check` answers something truthy; throws with `what` after `ms`. Polls: the deadline is a safety net, not an expectation. */
export async function until(what, check, ms = 20000, pause = 25) {
  const end = Date.now() + ms;
  for (;;) {
    const answer = await check();
    if (answer) return answer;
    if (Date.now() > end) throw new Error(`waited ${ms} ms in vain: ${what}`);
    await sleep(pause);
  }
}

/** A seeded generator, so that a failing run can be repeated: GUILDHALL_TEST_SEED. (mulberry32) */
export function random(seed) {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
export const seed = Number(process.env.GUILDHALL_TEST_SEED ?? Math.floor(Math.random() * 2 ** 31));
