// A resident takes along what is kept about them, then deletes their account, by keyboard.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { launch, openPage, request, signIn, violations, visit } from './support/browser.mjs';

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser.close());

test('takes the data along and leaves', async () => {
  const page = await openPage(browser);
  await signIn(page, 'resident-b');
  const { viewer } = await request(page, 'email');
  await visit(page, '/profile');

  const coming = page.waitForEvent('download');
  await page.getByRole('button', { name: 'Download what is kept about you' }).click();
  const download = await coming;
  assert.equal(download.suggestedFilename(), 'councilsense-data.json');
  const kept = JSON.parse(await readFile(await download.path(), 'utf8'));
  assert.equal(kept.accounts.users.email, viewer.email);
  assert.ok(kept.sessions.length >= 1 && Array.isArray(kept.notifications.follows));

  await page.getByText('Delete this account', { exact: true }).focus();
  await page.keyboard.press('Enter');
  const sure = page.getByRole('button', { name: 'Delete my account' });
  await sure.waitFor();
  assert.deepEqual(await violations(page), []);
  assert.ok(await sure.isDisabled(), 'not before the words are written');
  await page.keyboard.press('Tab');
  await page.keyboard.type('delete my account');
  await page.keyboard.press('Enter');
  await page.getByRole('link', { name: 'Sign in', exact: true }).waitFor();
  assert.equal(new URL(page.url()).pathname, '/');
  assert.deepEqual(await page.context().cookies(), [], 'no session is left');

  await signIn(page, 'resident-b');
  const again = await request(page, 'account');
  assert.notEqual(again.viewer.id, viewer.id, 'somebody new');
  assert.deepEqual(again.follows, []);
  assert.deepEqual(page.complaints, []);
  await page.context().close();
});
