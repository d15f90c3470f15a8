// A resident: signs in, chooses a home city, searches, is told of a meeting while watching, signs out.
import assert from 'node:assert/strict';
import { exec } from 'node:child_process';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import {
  baseUrl,
  launch,
  openPage,
  PATIENCE,
  publishedMeeting,
  request,
  settled,
  signIn,
  visit,
} from './support/browser.mjs';

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser.close());

test('the resident’s day', async (t) => {
  const page = await openPage(browser);
  await signIn(page, 'resident');
  await publishedMeeting(page);

  await t.test('chooses a home city', async () => {
    await visit(page, '/');
    const choose = page.getByRole('button', { name: /^Choose .* as home city$/ }).first();
    const chosen = page.getByText('Your home city', { exact: true }).first();
    await choose.or(chosen).first().waitFor();
    if (await choose.isVisible()) await choose.click();
    await page.locator('.eyebrow', { hasText: 'Your home city' }).waitFor();
    const { viewer } = await request(page, 'homeCity');
    await page.getByRole('heading', { level: 1, name: viewer.homeCity.name }).waitFor();
    await visit(page, '/notifications');
    await page.locator('section', { hasText: 'What you follow' }).getByText(viewer.homeCity.name).first().waitFor();
  });

  await t.test('searches the home city and opens a meeting', async () => {
    await visit(page, '/');
    await page.getByRole('searchbox').fill('council');
    await page.getByRole('button', { name: 'Search', exact: true }).click();
    await page.waitForURL(/\/search\?q=council&city=/);
    await page.locator('.hit h3 a').first().click();
    await page.waitForURL(/\/meetings\//);
    await settled(page);
  });

  await t.test('sees a notification arrive', async () => {
    await visit(page, '/notifications');
    const before = (await unread(page)).length;
    // Shown or not yet: a meeting of the bundled city may be published at this very moment.
    const toast = page.locator('.toast').first();
    await publish(page);
    await toast.waitFor({ timeout: 4 * PATIENCE });
    const title = await toast.locator('.toast-title').innerText();
    const inInbox = page.locator('.notification-unread', { hasText: title }).first();
    await inInbox.waitFor();
    await page.locator('.unread-count').waitFor();
    assert.ok((await unread(page)).length > before, 'the inbox has one more');

    await toast.getByRole('link').click();
    await page.waitForURL(/\/meetings\//);
    await settled(page);
    await page.locator('.claim').first().waitFor();
    await visit(page, '/notifications');
    await page.locator('.notification', { hasText: title }).first().waitFor();
  });

  await t.test('marks everything as read', async () => {
    const all = page.getByRole('button', { name: 'Mark all as read' });
    if (await all.isEnabled()) await all.click();
    await page.locator('.unread-count').waitFor({ state: 'detached' });
    assert.equal((await unread(page)).length, 0);
  });

  await t.test('pauses notifications and ends the pause', async () => {
    // Messages stay until they are dismissed; they may lie over the button on a small window.
    for (const dismiss of await page.getByRole('button', { name: /^Dismiss/ }).all()) await dismiss.click();
    const end = page.getByRole('button', { name: 'End the pause' });
    if (await end.isVisible()) await end.click();
    await page.getByRole('button', { name: 'One week' }).click();
    await page.getByText(/^Paused until/).waitFor();
    const { viewer } = await request(page, 'pause');
    const days = (new Date(viewer.notificationPreferences.pauseUntil) - Date.now()) / 86_400_000;
    assert.ok(days > 6.9 && days <= 7, `paused for ${days} days`);
    await end.click();
    await page.getByRole('button', { name: 'One week' }).waitFor();
  });

  await t.test('changes the name and sees where they are signed in', async () => {
    await visit(page, '/profile');
    const name = page.getByLabel('Name', { exact: true });
    const former = await name.inputValue();
    const next = former.endsWith(' R.') ? former.slice(0, -3) : `${former} R.`;
    await name.fill(next);
    await page.getByRole('button', { name: 'Save name' }).click();
    await page.locator('.account-name', { hasText: next }).waitFor();
    await page.getByText('This one', { exact: true }).waitFor();
  });

  await t.test('signs out', async () => {
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByRole('button', { name: 'Sign out' }).waitFor({ state: 'detached' });
    // The identity provider may show a page of its own in between.
    await visit(page, '/');
    await page.getByRole('link', { name: 'Sign in', exact: true }).waitFor();
    const { viewer } = await request(page, 'viewer');
    assert.equal(viewer, null);
  });

  assert.deepEqual(page.complaints, []);
  await page.context().close();
});

test('signing in comes back to the page it began on', async () => {
  const page = await openPage(browser);
  await visit(page, '/search?q=council&mode=KEYWORD');
  await page.getByRole('link', { name: 'Sign in', exact: true }).click();
  await page.locator('button[name="person"][value="resident"]').click();
  await page.getByRole('button', { name: 'Sign out' }).waitFor();
  assert.equal(page.url(), `${baseUrl}/search?q=council&mode=KEYWORD`);
  await page.context().close();
});

async function unread(page) {
  const { notifications } = await request(page, 'unread');
  return notifications.nodes;
}

/**
 * Has a meeting of the resident's city published that they have not been told of: by the command in
 * `PUBLISH_COMMAND`, else an operator runs one again.
 */
async function publish(page) {
  if (process.env.PUBLISH_COMMAND) {
    await promisify(exec)(process.env.PUBLISH_COMMAND);
    return;
  }
  const { viewer, notifications } = await request(page, 'told');
  const told = new Set(notifications.nodes.map(({ meeting }) => meeting?.id));
  const { meetings } = await request(page, 'ofCity', { city: viewer.homeCity.id });
  const fresh = meetings.nodes.find(({ id }) => !told.has(id));
  assert.ok(fresh, 'every meeting has been notified already: start from an empty data directory');
  const operator = await openPage(browser);
  await signIn(operator, 'operator');
  const { rerunMeeting } = await request(operator, 'rerun', { input: { meetingId: fresh.id } });
  assert.deepEqual(rerunMeeting.userErrors, []);
  await operator.context().close();
}
