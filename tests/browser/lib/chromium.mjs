// Debian's Chromium, and what it complains about.
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const quiet = ['--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];

/* Every page that it shows is the tests' own, so it needs no sandbox, which root has not. */
const options = { executablePath: '/usr/bin/chromium', chromiumSandbox: false, args: quiet };

/** With a folder of its own, which is new and goes with it. */
export const launch = () => chromium.launch(options);

/** One person's browser: what its console warns of and what it could not load is a complaint, unless a test said that it would come. */
export class Person {
  constructor(name, context) {
    Object.assign(this, { name, context, complaints: [], awaited: [] });
  }

  static async open(browser, name, how) {
    return new Person(name, await browser.newContext({ acceptDownloads: true, ...how }));
  }

  /** With a browser of his own that sends cookies along for pages of other sites, as browsers did for long; this one has to be told to. */
  static async withCookies(name) {
    const folder = mkdtempSync(join(tmpdir(), 'guildhall-browser-'));
    mkdirSync(join(folder, 'Default'));
    writeFileSync(join(folder, 'Default/Preferences'), JSON.stringify({ profile: { cookie_controls_mode: 0 } }));
    return Object.assign(new Person(name, await chromium.launchPersistentContext(folder, options)), { folder });
  }

  async leave() {
    await this.context.close();
    // Its last process may still be writing there.
    if (this.folder) await rm(this.folder, { recursive: true, force: true, maxRetries: 50, retryDelay: 100 });
  }

  async page(url) {
    const page = await this.context.newPage();
    page.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) this.complain(`console: ${message.text()} (${message.location().url})`);
    });
    page.on('pageerror', (error) => this.complain(`error: ${error.message}`));
    page.on('requestfailed', (request) => this.complain(`failed: ${request.method()} ${request.url()}: ${request.failure()?.errorText}`));
    page.on('crash', () => this.complain('the page crashed'));
    if (url) await page.goto(url);
    return page;
  }

  complain(text) {
    this.complaints.push(text.replaceAll(/([?&](?:jwt|sign|token)=)[^&\s'"]+/g, '$1...'));
  }

  /** Complaints that fit are no fault of this test. */
  expect(...patterns) {
    this.awaited.push(...patterns);
  }

  /** What it complained of since the last time. */
  unexpected() {
    const { complaints, awaited } = this;
    Object.assign(this, { complaints: [], awaited: [] });
    return complaints.filter((text) => !awaited.some((pattern) => pattern.test(text))).map((text) => `${this.name}: ${text}`);
  }
}
