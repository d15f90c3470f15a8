// The `graphql-sse` protocol in its mode of distinct connections, as its reference client speaks it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createClient } from 'graphql-sse';
import { base, headers } from './support.mjs';

const url = `${base}/graphql/stream`;
const connect = () => createClient({ url, headers, retryAttempts: 0, singleConnection: false });

test('a query comes as one event and is complete', async () => {
  const answers = [];
  for await (const answer of connect().iterate({ query: '{ __typename viewer { displayName } }' })) answers.push(answer);
  assert.equal(answers.length, 1);
  assert.equal(answers[0].data.__typename, 'Query');
  assert.ok(answers[0].data.viewer.displayName);
});

test('an error of GraphQL is an event, not a failure of the connection', async () => {
  const answers = [];
  for await (const answer of connect().iterate({ query: '{ nothing }' })) answers.push(answer);
  assert.equal(answers[0].errors[0].extensions.code, 'BAD_USER_INPUT');
});

test('a subscription stays open until it is left', async () => {
  const client = connect();
  let ended = false;
  const leave = client.subscribe(
    { query: 'subscription { meetingPublished { version } }' },
    { next() {}, error: assert.fail, complete: () => (ended = true) },
  );
  await new Promise((resolve) => setTimeout(resolve, 500));
  assert.equal(ended, false);
  leave();
  client.dispose();
});

test('the mode of one connection for several operations is refused, and says what is offered', async () => {
  const response = await fetch(url, { method: 'PUT', headers });
  assert.equal(response.status, 405);
  assert.equal(response.headers.get('allow'), 'POST');
});
