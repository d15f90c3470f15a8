// A browser on a running CouncilSense, with everything it complains about kept.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';

const documents = JSON.parse(readFileSync(new URL('./documents.json', import.meta.url), 'utf8'));
const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** Where the server under test is, without a slash at the end. */
export const baseUrl = (process.env.BASE_URL ?? '').replace(/\/+$/, '');
assert.ok(baseUrl, 'Set BASE_URL to a running CouncilSense, e.g. BASE_URL=http://127.0.0.1:8080 npm test');

/** How long something may take on a busy machine before it counts as not happening, milliseconds. */
export const PATIENCE = 30_000;

export const DESKTOP = {
  viewport: { width: 1280, height: 900 },
  colorScheme: 'light',
};
export const PHONE = {
  viewport: { width: 360, height: 740 },
  colorScheme: 'dark',
};

/** Starts Chromium. `CHROMIUM` names another binary; the sandbox is off since CI runs as root. */
export function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox'],
  });
}

/** A page in a context of its own. `page.complaints` lists console errors, exceptions and CSP violations. */
export async function openPage(browser, options = DESKTOP) {
  const context = await browser.newContext({ locale: 'en-US', ...options });
  await context.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', (event) => {
      console.error(`CSP violation: ${event.violatedDirective} ${event.blockedURI}`);
    });
  });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  page.complaints = [];
  page.on('console', (message) => {
    if (message.type() === 'error') page.complaints.push(message.text());
  });
  page.on('pageerror', (error) => page.complaints.push(String(error)));
  return page;
}

/** Goes to a path and waits until the screen has its heading and nothing is loading any more. */
export async function visit(page, path) {
  await page.goto(baseUrl + path);
  await settled(page);
}

export async function settled(page) {
  await page.locator('h1').waitFor();
  // A list that is asked for again shows the last answer until then, and is marked as busy.
  await page.waitForFunction(() => document.querySelector('.loading, [aria-busy="true"]') === null);
}

/** Signs in through the development identity provider, by the page's own link. */
export async function signIn(page, person) {
  await visit(page, '/');
  await page.getByRole('link', { name: 'Sign in', exact: true }).click();
  await page.locator(`button[name="person"][value="${person}"]`).click();
  await page.getByRole('button', { name: 'Sign out' }).waitFor();
  await settled(page);
}

/**
 * A GraphQL request with the page's own session, for preparing what a test needs: one of documents.json, by its name. A
 * server that executes trusted documents alone is told of that file.
 */
export async function request(page, name, variables = {}) {
  assert.ok(documents[name], name);
  const answer = await ask(page, documents[name], variables);
  assert.equal(answer.errors, undefined, `GraphQL errors: ${JSON.stringify(answer.errors)}`);
  return answer.data;
}

/** Any document, and whatever the server answers. */
export function ask(page, query, variables = {}) {
  return page.evaluate(
    async ([text, values]) => {
      const response = await fetch('/graphql', {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          accept: 'application/graphql-response+json',
          'x-csrf': '1',
        },
        body: JSON.stringify({ query: text, variables: values }),
      });
      return response.json();
    },
    [query, variables],
  );
}

/** A meeting with a published summary that has claims; waits for one, since a new data directory fills only now. */
export async function publishedMeeting(page) {
  const deadline = Date.now() + 4 * PATIENCE;
  while (Date.now() < deadline) {
    const { meetings } = await request(page, 'published');
    const found = meetings.nodes.find(({ summary }) => summary?.claims.some(({ evidence }) => evidence.length > 0));
    if (found) return found;
    await page.waitForTimeout(1_000);
  }
  throw new Error('no meeting with a published summary appeared; does the server hold any documents?');
}

/** The accessibility violations of the screen as it is, each with the elements concerned. */
export async function violations(page) {
  // Through the debugger: the page's own policy rightly refuses a script from elsewhere.
  const session = await page.context().newCDPSession(page);
  await session.send('Runtime.evaluate', { expression: axeSource });
  const result = await page.evaluate(() =>
    globalThis.axe.run({
      runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],
    }),
  );
  await session.detach();
  return result.violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' | ')}`);
}

/** How far the page reaches past the right edge of the window, pixels. */
export function overflow(page) {
  return page.evaluate(() => Math.max(0, document.documentElement.scrollWidth - window.innerWidth));
}
