import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { documentsOf, sha256 } from './documents.mjs';

const src = fileURLToPath(new URL('../src', import.meta.url));
const NOT_KEPT = { errors: [{ message: 'PersistedQueryNotFound' }] };

let bodies;
let answers;
beforeEach(() => {
  bodies = [];
  answers = [];
  vi.stubGlobal('window', { crypto: globalThis.crypto, location: { protocol: 'http:', host: 'here.test' } });
  vi.stubGlobal('WebSocket', class {});
  vi.stubGlobal('fetch', async (_, { body }) => {
    bodies.push(JSON.parse(body));
    const answer = answers.shift() ?? { data: {} };
    return new Response(JSON.stringify(answer), { headers: { 'content-type': 'application/graphql-response+json' } });
  });
});
afterEach(() => vi.unstubAllGlobals());

async function page() {
  const { createGraphqlClient } = await import('../src/graphql/client.ts');
  const { SearchQuery } = await import('../src/search/search-query.ts');
  const { MarkRead } = await import('../src/notifications/mark-read.ts');
  return { client: createGraphqlClient(), SearchQuery, MarkRead };
}

test('every operation of the sources is there, under its hash, with the fragments it spreads', () => {
  const documents = documentsOf(src);
  const texts = Object.values(documents);
  expect(texts.length).toBeGreaterThan(25);
  for (const [hash, text] of Object.entries(documents)) {
    expect(hash).toBe(sha256(text));
    const spread = [...text.matchAll(/\.\.\.\s*([A-Z]\w*)/g)].map(([, name]) => name);
    for (const name of spread) expect(text).toContain(`fragment ${name} on`);
  }
  const operations = texts.map((text) => text.match(/^(?:query|mutation|subscription) (\w+)/m)[1]);
  expect(operations).toContain('MeetingPublished');
  expect(new Set(operations).size).toBe(operations.length);
});

test('what the page sends is in the list: hashes of queries and mutations', async () => {
  const documents = documentsOf(src);
  const { client, SearchQuery, MarkRead } = await page();
  await client.query(SearchQuery, { input: { query: 'x' } }).toPromise();
  await client.mutation(MarkRead, { input: { ids: [] } }).toPromise();
  expect(bodies.map(({ operationName }) => operationName)).toEqual(['Search', 'MarkRead']);
  for (const { query, extensions } of bodies) {
    expect(query).toBeUndefined();
    expect(documents).toHaveProperty(extensions.persistedQuery.sha256Hash);
  }
});

test('a server that does not have a document is sent the text', async () => {
  const documents = documentsOf(src);
  const { client, SearchQuery } = await page();
  answers.push(NOT_KEPT);
  await client.query(SearchQuery, { input: { query: 'y' } }).toPromise();
  const [first, second] = bodies;
  expect(first.query).toBeUndefined();
  const { sha256Hash } = second.extensions.persistedQuery;
  expect(sha256Hash).toBe(first.extensions.persistedQuery.sha256Hash);
  expect(second.query).toBe(documents[sha256Hash]);
});
