// The same way with the keyboard alone: nothing needs a pointer, and the focus is always to be seen.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, openPage, publishedMeeting, settled, visit } from './support/browser.mjs';

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser.close());

test('from the skip link to the evidence without a pointer', async () => {
  const page = await openPage(browser);
  await visit(page, '/meetings?published=yes');
  const { id } = await publishedMeeting(page);
  await visit(page, '/meetings?published=yes');

  await page.keyboard.press('Tab');
  assert.equal(await focusedText(page), 'Skip to the content');
  await page.keyboard.press('Enter');
  assert.equal(await page.evaluate(() => document.activeElement?.id), 'main');

  await tabTo(page, `a[href="/meetings/${encodeURIComponent(id)}"]`);
  await page.keyboard.press('Enter');
  await page.waitForURL(/\/meetings\/.+/);
  await settled(page);
  await page.waitForFunction(() => document.activeElement?.tagName === 'H1');

  await tabTo(page, 'details.evidence > summary');
  await page.keyboard.press('Enter');
  await page.locator('details.evidence[open] figure.excerpt').first().waitFor();
  await tabTo(page, 'figure.excerpt a[href*="/evidence?"]');
  await page.keyboard.press('Enter');
  await page.waitForURL(/\/evidence\?/);
  await page.waitForFunction(() => document.activeElement?.tagName === 'H1');

  await tabTo(page, 'main a[href^="/meetings/"]');
  await page.keyboard.press('Enter');
  await page.waitForURL((url) => !url.pathname.endsWith('/evidence'));
  await page.waitForFunction(() => document.activeElement?.tagName === 'H1');
  assert.deepEqual(page.complaints, []);
  await page.context().close();
});

test('search by keyboard', async () => {
  const page = await openPage(browser);
  await visit(page, '/search');
  await tabTo(page, 'input[type="search"]');
  await page.keyboard.type('council');
  await page.keyboard.press('Enter');
  await page.locator('.hit').first().waitFor();
  await tabTo(page, 'input[name="mode"]');
  await page.keyboard.press('ArrowDown');
  await page.waitForURL(/mode=/);
  await page.locator('input[name="mode"]:focus:checked').waitFor();
  await settled(page);
  await tabTo(page, '.explanation summary');
  await page.keyboard.press('Space');
  await page.locator('.explanation[open]').first().waitFor();
  assert.deepEqual(page.complaints, []);
  await page.context().close();
});

function focusedText(page) {
  return page.evaluate(() => document.activeElement?.textContent?.trim());
}

/** Presses Tab until an element matching `selector` has the focus, and checks that it shows. */
async function tabTo(page, selector, limit = 400) {
  for (let presses = 0; presses < limit; presses += 1) {
    await page.keyboard.press('Tab');
    // In one evaluation, so that it is the style of the element that was found.
    const outline = await page.evaluate((wanted) => {
      const focused = document.activeElement;
      return focused?.matches(wanted) ? getComputedStyle(focused).outlineStyle : undefined;
    }, selector);
    if (outline === undefined) continue;
    assert.notEqual(outline, 'none', `the focus on ${selector} is visible`);
    return;
  }
  assert.fail(`${selector} was not reached with ${limit} presses of Tab`);
}
