// Anybody, without an account: from the home page to the sentence a claim came from.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { DESKTOP, launch, openPage, PATIENCE, publishedMeeting, settled, visit } from './support/browser.mjs';

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser.close());

test('an anonymous reader follows a claim to its evidence', async () => {
  const page = await openPage(browser);
  await visit(page, '/');
  const meeting = await publishedMeeting(page);

  await page.getByRole('link', { name: 'Meetings', exact: true }).click();
  await page.getByRole('heading', { level: 1, name: 'Meetings' }).waitFor();
  await page.getByLabel('Summary').selectOption({ label: 'With a summary' });
  await page.waitForURL(/published=yes/);
  await page.locator('.meeting-card').first().waitFor();
  await page
    .locator(`.meeting-card a[href="/meetings/${encodeURIComponent(meeting.id)}"]`)
    .first()
    .click();
  await page.getByRole('heading', { level: 1, name: meeting.title }).waitFor();
  assert.match(await page.title(), /CouncilSense$/);

  const disclosure = page.locator('details.evidence').first();
  await disclosure.locator('summary').click();
  const excerpt = disclosure.locator('figure.excerpt').first();
  const marked = (await excerpt.locator('mark').innerText()).trim();
  const known = meeting.summary.claims.flatMap(({ evidence }) => evidence.map((each) => each.excerpt));
  const flat = (text) => text.replace(/\s+/g, ' ').trim();
  assert.ok(known.map(flat).includes(flat(marked)), `the marked text is an excerpt of the summary: ${marked}`);
  await page.waitForFunction(() => document.querySelector('.excerpt-text p:last-child')?.childNodes.length > 1);
  const inPlace = await excerpt.locator('.excerpt-text').innerText();
  assert.ok(flat(inPlace).length > flat(marked).length, 'the excerpt is shown with the text around it');

  const documentLink = excerpt.getByRole('link', { name: /Open the document/ });
  const status = await page.evaluate(
    async (url) => (await fetch(url, { headers: { 'x-csrf': '1' } })).status,
    await documentLink.getAttribute('href'),
  );
  assert.equal(status, 200, 'the document is served');

  await excerpt.getByRole('link', { name: 'Permanent link' }).click();
  await page.waitForURL(/\/evidence\?/);
  await page.getByRole('heading', { level: 1, name: 'Evidence' }).waitFor();
  await page.reload();
  await settled(page);
  assert.equal(flat(await page.locator('figure.excerpt mark').innerText()), flat(marked), 'the link is permanent');
  assert.deepEqual(page.complaints, []);
  await page.context().close();
});

test('a link of a hit and the address of a search lead back to the same answer', async () => {
  const page = await openPage(browser);
  await visit(page, '/');
  const { summary } = await publishedMeeting(page);
  const word = summary.claims.flatMap(({ text }) => text.split(/[^\p{L}]+/u)).find((each) => each.length >= 7);
  await page.getByRole('searchbox').fill(word);
  await page.getByRole('searchbox').press('Enter');
  await page.waitForURL(/\/search\?q=/);
  await page.locator('.hit').first().waitFor();
  const count = await page.locator('#results').innerText();
  assert.match(count, /^[\d,]+ passages?$/);
  assert.ok((await page.locator('.hit mark').allInnerTexts()).length > 0, 'the words found are marked');

  await page.locator('.explanation summary').first().click();
  await page.locator('.explanation dt', { hasText: 'By words' }).first().waitFor();
  // A new data directory fills only now: what the address leads to grows until all of it is there, and then stays.
  const shown = async () => (await page.locator('#results, .hits').allInnerTexts()).join('\n');
  const deadline = Date.now() + 4 * PATIENCE;
  for (let last = ''; last !== (await shown());) {
    assert.ok(Date.now() < deadline, `the same address, another answer than ${last}`);
    last = await shown();
    await page.reload();
    await settled(page);
  }

  await page.getByLabel('Exact words').check();
  await page.waitForURL(/mode=KEYWORD/);
  await page.locator('.hit').first().waitFor();
  assert.deepEqual(page.complaints, []);
  await page.context().close();
});

test('nothing found, a failed search and a wrong address are three different answers', async () => {
  const page = await openPage(browser);
  await visit(page, '/search?q=qzxwvqzxwv&mode=KEYWORD');
  await page.getByText('Nothing found').waitFor();
  assert.equal(await page.getByRole('alert').count(), 0);
  assert.deepEqual(page.complaints, []);

  await page.route('**/graphql', async (route) => {
    if (route.request().postDataJSON()?.operationName !== 'Search') return route.continue();
    await route.fulfill({
      status: 503,
      contentType: 'application/json',
      body: JSON.stringify({
        errors: [
          {
            message: 'x',
            extensions: { code: 'UNAVAILABLE', requestId: 'req-under-test' },
          },
        ],
      }),
    });
  });
  await visit(page, '/search?q=council');
  const alert = page.getByRole('alert');
  await alert.waitFor();
  assert.match(await alert.innerText(), /not answering[\s\S]*Try again[\s\S]*req-under-test/);
  await page.unroute('**/graphql');
  await alert.getByRole('button', { name: 'Try again' }).click();
  await page.locator('#results').waitFor();

  await visit(page, '/meetings/no-such-meeting');
  await page.getByRole('heading', { level: 1, name: 'No such meeting' }).waitFor();
  await visit(page, '/no/such/page');
  await page.getByRole('heading', { level: 1, name: 'No such page' }).waitFor();
  await page.context().close();
});

test('a meeting page does not jump while it loads', async () => {
  const page = await openPage(browser, DESKTOP);
  await visit(page, '/');
  const { id } = await publishedMeeting(page);
  await page.addInitScript(() => {
    globalThis.shifted = 0;
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) if (!entry.hadRecentInput) globalThis.shifted += entry.value;
    }).observe({ type: 'layout-shift', buffered: true });
  });
  await visit(page, `/meetings/${encodeURIComponent(id)}`);
  await page.waitForTimeout(500);
  const shifted = await page.evaluate(() => globalThis.shifted);
  assert.ok(shifted < 0.1, `cumulative layout shift ${shifted}`);
  await page.context().close();
});

test('the next page of a list begins at its top, and going back returns', async () => {
  const page = await openPage(browser);
  await visit(page, '/search?q=council');
  await page.locator('#results').waitFor();
  const next = page.getByRole('link', { name: 'More results' });
  if ((await next.count()) === 0) {
    // A small collection answers on one page; then there must be no link to a second.
    assert.ok((await page.locator('.hit').count()) <= 10);
    return page.context().close();
  }
  const first = await page.locator('.hit-text').first().innerText();
  await next.click();
  await page.waitForURL(/after=/);
  await page.waitForFunction(() => window.scrollY === 0 && document.activeElement?.tagName === 'H1');
  await page.waitForFunction((text) => document.querySelector('.hit-text')?.innerText !== text, first);
  await page.goBack();
  await page.waitForFunction((text) => document.querySelector('.hit-text')?.innerText === text, first);
  assert.deepEqual(page.complaints, []);
  await page.context().close();
});
