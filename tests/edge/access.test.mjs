// A method or field that is new, or open to others than before, changes the table in docs/access.md, and fails here.
// COUNCILSENSE_REGENERATE=1 writes the table anew.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { CALLERS, graphqlRows, grpcRows, signIn, table } from './access.mjs';
import { base } from './support.mjs';

const { DATA_DIR: dir, GRPC_ADDRESS: address, COUNCILSENSE_BIN: bin } = process.env;
const file = new URL('../../docs/access.md', import.meta.url);

test('docs/access.md says who reaches what', { timeout: 240_000, skip: !dir && 'scripts/test-edge says where the instance is' }, async () => {
  const cookies = {
    anonymous: '',
    resident: signIn('resident', base),
    "another tenant's resident": signIn('resident-b', base),
    reviewer: signIn('reviewer', base),
    operator: signIn('operator', base),
  };
  const grpc = await grpcRows({ address, secrets: join(dir, 'secrets.toml') });
  const first = await graphqlRows({ base, cookies });
  // The development provider has no owner: the operator becomes one, and signs in again.
  const answer = await fetch(`${base}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-csrf': '1', cookie: cookies.operator },
    body: '{"query":"{ viewer { id } }"}',
  });
  const { data } = await answer.json();
  const user = Buffer.from(data.viewer.id, 'base64url').toString().split(':')[1];
  execFileSync(bin, ['role', 'grant', '--user', user, 'owner', '--data-dir', dir]);
  const owner = await graphqlRows({ base, cookies: { owner: signIn('operator', base) } });
  const graphql = first.rows.map((row, n) => [...row, owner.rows[n][1]]);

  const due = `# Who reaches what

Written by \`tests/edge/access.test.mjs\` from the contracts and from what a running system answers; the test fails where they differ. Every method and
field was asked by every kind of caller, with nothing or something made up in it: *yes* means that the caller got past authorisation, and sees or
changes what its tenant, its tags and its ownership allow; *sign in* and *no* are refusals before anything is looked at.

## gRPC

${table(['method', ...Object.keys(CALLERS)], grpc)}

## GraphQL, root fields

${table(['field', ...Object.keys(cookies), 'owner'], graphql)}

## GraphQL, what hangs below

Whoever reaches an object reaches its fields; one that leads to another object asks that object's service on behalf of the same caller, and is null or
\`NOT_FOUND\` where the caller may not see it.

${table(['type', 'fields'], first.below)}
`;
  if (process.env.COUNCILSENSE_REGENERATE) writeFileSync(file, due);
  assert.equal(due, readFileSync(file, 'utf8'));

  const reached = (rows, name, column) => rows.find(([method]) => method.includes(name))[column];
  assert.ok(grpc.every((row) => row[1] === 'sign in'), 'no method answers without a token');
  const caller = (name) => 1 + Object.keys(CALLERS).indexOf(name);
  assert.equal(reached(grpc, 'Accounts/GrantRole', caller('operator')), 'no');
  const sessions = Object.keys(CALLERS).map((name) => reached(grpc, 'Sessions/EndSessions', caller(name)));
  assert.deepEqual(sessions, ['sign in', 'sign in', 'no', 'no', 'no', 'yes', 'yes', 'yes', 'no']);
});
