// Every screen, on a desktop and on a phone 360 pixels wide: axe finds nothing, and nothing reaches past the edge.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import {
  DESKTOP,
  launch,
  openPage,
  overflow,
  PHONE,
  publishedMeeting,
  request,
  signIn,
  violations,
  visit,
} from './support/browser.mjs';

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser.close());

const devices = { desktop: DESKTOP, phone: PHONE };

for (const [device, options] of Object.entries(devices)) {
  test(`every public screen on a ${device}`, async (t) => {
    const page = await openPage(browser, options);
    await visit(page, '/');
    const { id, summary } = await publishedMeeting(page);
    const { cities } = await request(page, 'firstCity');
    const evidence = new URL(summary.claims.find((claim) => claim.evidence.length > 0).evidence[0].url, page.url());
    await screens(t, page, {
      home: '/',
      cities: '/cities',
      city: `/cities/${cities.nodes[0].slug}`,
      meetings: '/meetings',
      'no meetings': '/meetings?from=1900-01-01&to=1900-01-02',
      meeting: `/meetings/${encodeURIComponent(id)}`,
      evidence: evidence.pathname + evidence.search,
      'evidence that is not cited': `${evidence.pathname}?artifact=none&start=0&end=1`,
      'empty search': '/search',
      search: '/search?q=council',
      'nothing found': '/search?q=qzxwvqzxwv&mode=KEYWORD',
      'notifications, signed out': '/notifications',
      'unknown address': '/no/such/page',
    });
    await page.context().close();
  });

  test(`every screen of an account on a ${device}`, async (t) => {
    const page = await openPage(browser, options);
    await signIn(page, 'operator');
    await screens(t, page, {
      home: '/',
      notifications: '/notifications',
      profile: '/profile',
      operations: '/operations',
    });
    await page.context().close();
  });
}

async function screens(t, page, paths) {
  for (const [name, path] of Object.entries(paths)) {
    await t.test(name, async () => {
      await visit(page, path);
      for (const disclosure of ['details.evidence', '.explanation']) {
        const first = page.locator(`${disclosure} > summary`).first();
        if (await first.isVisible()) await first.click();
      }
      await page.waitForFunction(() => document.querySelector('[aria-busy="true"]') === null);
      assert.equal(await page.locator('h1').count(), 1, 'one first heading');
      assert.match(await page.title(), /CouncilSense/);
      assert.deepEqual(await violations(page), []);
      assert.equal(await overflow(page), 0, 'nothing reaches past the edge');
    });
  }
}
