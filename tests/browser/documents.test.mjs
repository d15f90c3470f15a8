// The page names its documents by their hash, and a server that executes no others serves it all the same.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { ask, launch, openPage, publishedMeeting, signIn, visit } from './support/browser.mjs';

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser.close());

test('what the page asks for goes by its hash, and is known', async () => {
  const page = await openPage(browser);
  await visit(page, '/');
  const { id } = await publishedMeeting(page);
  const sent = [];
  page.on('request', (request) => {
    // Requests of the tests themselves have no operation name.
    const body = request.url().endsWith('/graphql') ? request.postDataJSON() : null;
    if (body?.operationName) sent.push(body);
  });
  await signIn(page, 'resident');
  await visit(page, `/meetings/${encodeURIComponent(id)}`);
  await visit(page, '/search?q=council');
  await visit(page, '/notifications');
  assert.ok(sent.length >= 5, `${sent.length} requests`);
  for (const { operationName, query, extensions } of sent) {
    assert.equal(query, undefined, operationName);
    assert.match(extensions.persistedQuery.sha256Hash, /^[0-9a-f]{64}$/, operationName);
  }
  assert.deepEqual(page.complaints, []);
  await page.context().close();
});

test(
  'a document of somebody else is refused',
  { skip: !process.env.TRUSTED_DOCUMENTS_ONLY && 'the server takes any' },
  async () => {
    const page = await openPage(browser);
    await visit(page, '/');
    const answer = await ask(page, '{ cities { nodes { name slug id } } }');
    assert.equal(answer.data, undefined);
    assert.equal(answer.errors[0].extensions.code, 'FORBIDDEN');
    await page.context().close();
  },
);
