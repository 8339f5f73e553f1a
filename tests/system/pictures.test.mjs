// Pictures that are made to hold whoever looks at them: each is a file like any other in the end, with a preview or without, whoever looked is gone, and
// the next honest picture has its preview. One at a time is looked at, so that one who stayed would keep the others from theirs.
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { Cluster } from './lib/cluster.mjs';
import { Rest, newPerson } from './lib/client.mjs';
import { gifOfFrames, jpegOfScans, png, pngBomb, webp } from './lib/images.mjs';
import { until } from './lib/wait.mjs';

const cluster = new Cluster({ environment: { GUILDHALL_PREVIEWS: '1' } });
const [messaging] = cluster.copies.messaging;
let owner, channel;

before(async () => {
  await cluster.start();
  owner = await newPerson(new Rest([cluster.api]), 'owner');
  const team = await owner.rest.ok('POST', '/v1/teams', { name: 'pictures' });
  channel = await owner.rest.ok('POST', '/v1/channels', { name: 'pictures', team_id: team.id });
}, { timeout: 120000 });
after(() => cluster.destroy(), { timeout: 60000 });

async function uploaded(bytes, name) {
  const body = new FormData();
  body.append('file', new Blob([bytes]), name);
  const response = await fetch(`${cluster.api}/v1/channels/${channel.id}/attachments`,
    { method: 'POST', headers: { authorization: `Bearer ${owner.token}` }, body, signal: AbortSignal.timeout(60000) });
  const text = await response.text();
  assert.equal(response.status, 201, text);
  return JSON.parse(text);
}

/** Those that messaging has started and not yet seen the end of. */
function lookers() {
  return readdirSync('/proc').filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1].split(' ')[1] === String(messaging.child.pid);
    } catch {
      return false; // it ended while it was looked at
    }
  });
}

/* A machine that is busy enough has none of the larger ones looked at in time: they may have no preview. `shows` is what may be shown otherwise. */
const svg = Buffer.from('<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><image href="file:///etc/passwd"/></svg>');
const cases = [
  ['a PNG whose bytes unfold to a thousand times as many', () => pngBomb(10000, 10000), { width: 10000, type: 'image/png', shows: null }],
  ['a PNG whose 50 million pixels come interlaced', () => pngBomb(7000, 7000), { type: 'image/png', shows: [180, 180] }],
  ['a JPEG of thousands of scans', () => jpegOfScans(46), { width: null, type: 'image/jpeg', shows: null, fails: 1 }],
  ['a GIF of two hundred thousand frames', () => gifOfFrames(200000), { type: 'image/gif', shows: [1, 1] }],
  ['a WebP of two frames of 50 million pixels in a hundred bytes', () => webp(16383, 3050, { frames: 2 }), { type: 'image/webp', shows: [320, 60] }],
  ['a PNG that ends in its middle', () => png(800, 800).subarray(0, 200), { type: 'image/png', shows: [180, 180] }],
  ['a JPEG that ends in its middle', () => jpegOfScans(1).subarray(0, 5000), { type: 'image/jpeg', shows: [320, 5] }],
  ['an SVG that is called a PNG', () => svg, { width: null, shows: null }],
  ['an SVG that begins like a PNG', () => Buffer.concat([png(1, 1).subarray(0, 8), svg]), { width: null, shows: null }],
];

for (const [what, make, { width, type, shows, fails }] of cases)
  test(what, { timeout: 120000 }, async () => {
    const failed = async () => (await messaging.metrics())['guildhall_previews_total{result="failed"}'];
    const had = await failed(), { pid } = messaging.child;
    let done = false;
    const uploading = uploaded(make(), 'x.png').finally(() => (done = true));
    // Meanwhile everything else goes on.
    for (let i = 0; i < 5 && !done; i++) await owner.rest.ok('POST', `/v1/channels/${channel.id}/messages`, { content: `meanwhile ${i}` });
    const file = await uploading;
    if (type !== undefined) assert.equal(file.media_type, type);
    else assert.ok(!file.media_type.startsWith('image/'), file.media_type);
    if (width !== undefined) assert.equal(file.width, width);
    if (file.preview !== null) assert.deepEqual([file.preview.width, file.preview.height], shows);
    if (fails) assert.ok(await failed() >= had + fails, 'it was ended');
    await until('nobody looks at it any more', () => lookers().length === 0);
    assert.equal(messaging.child.pid, pid);
    assert.equal(messaging.child.exitCode, null);
    const next = await until('an honest one has its preview', async () => (await uploaded(png(640, 320), 'next.png')).preview);
    assert.deepEqual([next.width, next.height], [320, 160]);
  });

test('as many scans of a small picture are shown', { timeout: 60000 }, async () => {
  const preview = await until('it has its preview', async () => (await uploaded(jpegOfScans(1), 'x.jpg')).preview);
  assert.deepEqual([preview.width, preview.height], [320, 5]);
});
