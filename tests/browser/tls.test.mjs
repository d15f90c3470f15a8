// Behind TLS, beside somebody else's site: what a browser really does with the cookies, and what the other site gets.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { PATIENCE } from './support/browser.mjs';
import { foreign, terminate } from './support/tls.mjs';
import { chromium } from 'playwright-core';

// A server whose public URL is OURS, and where it listens without TLS; scripts/test-browser starts it.
const target = process.env.TLS_TARGET;
const OURS = 'https://council.test:18443';
const THEIRS = 'https://elsewhere.test:18444';
const SESSION = '__Host-councilsense';
const skip = target ? false : 'set TLS_TARGET to the host:port of a CouncilSense started with --public-url ' + OURS;
if (skip) assert.notEqual(process.env.CI, 'true', skip);

const servers = [];
let browser, context;
before(async () => {
  if (skip) return;
  servers.push(await terminate(18443, target));
  servers.push(await foreign(18444, `<!doctype html><title>Elsewhere</title><a href="${OURS}/">the council</a>`));
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--host-resolver-rules=MAP council.test 127.0.0.1,MAP elsewhere.test 127.0.0.1'],
  });
  context = await browser.newContext({ ignoreHTTPSErrors: true, locale: 'en-US' });
  context.setDefaultTimeout(PATIENCE);
});
after(async () => {
  await browser?.close();
  for (const server of servers) {
    server.closeAllConnections();
    server.close();
  }
});

const signOut = (page) => page.getByRole('button', { name: 'Sign out' });

test('signs in across sites, with one cookie for one host', { skip }, async () => {
  const page = await context.newPage();
  await page.goto(OURS);
  await page.getByRole('link', { name: 'Sign in', exact: true }).click();
  // The provider is another site: the answer comes back by a form there, with the sign-in's own cookie alone.
  await page.waitForURL((url) => url.host !== new URL(OURS).host);
  await page.locator('button[name="person"][value="resident"]').click();
  await signOut(page).waitFor();
  const cookies = await context.cookies(OURS);
  assert.deepEqual(
    cookies.map(({ name, domain, path, secure, httpOnly, sameSite }) => ({
      name,
      domain,
      path,
      secure,
      httpOnly,
      sameSite,
    })),
    [{ name: SESSION, domain: 'council.test', path: '/', secure: true, httpOnly: true, sameSite: 'Strict' }],
  );
  assert.equal(await page.evaluate(() => document.cookie), '', 'no script sees it');
  const acknowledged = await page.evaluate(
    () =>
      new Promise((resolve) => {
        const socket = new WebSocket(`wss://${location.host}/graphql/ws`, 'graphql-transport-ws');
        socket.onopen = () => socket.send('{"type":"connection_init"}');
        socket.onmessage = ({ data }) => (resolve(JSON.parse(data).type), socket.close());
        socket.onclose = ({ code }) => resolve(code);
      }),
  );
  assert.equal(acknowledged, 'connection_ack');
  await page.close();
});

test('a link from elsewhere arrives without the session, and the page finds it', { skip }, async () => {
  const page = await context.newPage();
  await page.goto(THEIRS);
  const arriving = page.waitForRequest((request) => request.isNavigationRequest() && request.url() === `${OURS}/`);
  await page.getByRole('link', { name: 'the council' }).click();
  const { cookie = '' } = await (await arriving).allHeaders();
  assert.ok(!cookie.includes(SESSION), cookie);
  await signOut(page).waitFor();
  await page.close();
});

test('another site reads nothing, changes nothing and shows nothing of ours', { skip }, async () => {
  const page = await context.newPage();
  const sent = [];
  page.on('request', (request) => {
    if (request.url().startsWith(OURS)) sent.push(request);
  });
  await page.goto(THEIRS);
  const tried = await page.evaluate(async (ours) => {
    const query = '{"query":"{ viewer { displayName } }"}';
    const attempt = (options) =>
      fetch(`${ours}/graphql`, { method: 'POST', credentials: 'include', body: query, ...options }).then(
        (answer) => answer.type,
        () => 'refused',
      );
    const socket = new Promise((resolve) => {
      const opened = new WebSocket(ours.replace('https', 'wss') + '/graphql/ws', 'graphql-transport-ws');
      opened.onopen = () => resolve('open');
      opened.onerror = () => resolve('refused');
    });
    const frame = new Promise((resolve) => {
      document.addEventListener('load', ({ target }) => target.matches?.('iframe') && resolve('loaded'), true);
      const framed = Object.assign(document.createElement('iframe'), { src: ours });
      document.body.append(framed);
    });
    return {
      json: await attempt({ headers: { 'content-type': 'application/json', 'x-csrf': '1' } }),
      plain: await attempt({ headers: { 'content-type': 'text/plain' } }),
      unread: await attempt({ mode: 'no-cors', headers: { 'content-type': 'text/plain' } }),
      socket: await socket,
      frame: await frame,
    };
  }, OURS);
  assert.deepEqual(tried, { json: 'refused', plain: 'refused', unread: 'refused', socket: 'refused', frame: 'loaded' });
  // What loaded is Chromium's own page that says so, not ours: frame-ancestors.
  const framed = page.frames().find((each) => each !== page.mainFrame());
  assert.match(framed.url(), /^chrome-error:/, 'ours is in no frame');

  // A form needs no permission: it is sent, without the session and without the header, and ends nothing.
  await page.evaluate((ours) => {
    const form = Object.assign(document.createElement('form'), { method: 'post', action: `${ours}/auth/logout` });
    document.body.append(form);
    form.submit();
  }, OURS);
  await page.waitForURL(`${OURS}/auth/logout`);
  for (const request of sent) {
    const { cookie = '' } = await request.allHeaders();
    assert.ok(!cookie.includes(SESSION), `${request.method()} ${request.url()} carried the session`);
  }
  await page.goto(OURS);
  await signOut(page).waitFor();
  await page.close();
});

test('signing out takes the cookie away', { skip }, async () => {
  const page = await context.newPage();
  await page.goto(OURS);
  await signOut(page).click();
  await page.getByRole('link', { name: 'Sign in', exact: true }).waitFor();
  assert.deepEqual(await context.cookies(OURS), []);
});
