// Every audit of the GraphQL-over-HTTP suite is `ok`, without a warning, with a session.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { serverAudits } from 'graphql-http';
import { base, headers } from './support.mjs';

const audits = serverAudits({
  url: `${base}/graphql`,
  fetchFn: (url, options = {}) => fetch(url, { ...options, headers: { ...options.headers, ...headers } }),
});

test('there are as many audits as the suite had when this was written', () => {
  assert.ok(audits.length >= 61, `${audits.length} audits`);
});

for (const audit of audits) {
  test(`${audit.id} ${audit.name}`, async () => {
    const result = await audit.fn();
    assert.equal(result.status, 'ok', result.reason);
  });
}
