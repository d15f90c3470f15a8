// Signs in, renews, signs out in both directions, rotates keys and links, with OpenID providers nobody here wrote.
// One `councilsense up` knows both: npm oidc-provider, and Keycloak where KEYCLOAK_HOME names an unpacked one.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { createServer } from 'node:net';
import { cpSync, createWriteStream, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Browser } from './browser.mjs';

const root = new URL('../..', import.meta.url).pathname;
const tools = join(root, 'tests/tools/oidc');
const bin = process.env.COUNCILSENSE_BIN ?? join(process.env.CARGO_TARGET_DIR ?? join(root, 'target'), 'debug/councilsense');
const scratch = mkdtempSync(join(tmpdir(), 'councilsense-providers-'));
const running = new Set();
const SECRET = 'bff-secret-for-tests-only';
/** Access tokens live this long here, so that renewing them can be waited for. */
const SECONDS = 5;

const freePort = () =>
  new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });

function start(name, command, args, options = {}) {
  const log = join(scratch, `${name}.log`);
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
  const file = createWriteStream(log, { flags: 'a' });
  child.stdout.pipe(file, { end: false });
  child.stderr.pipe(file, { end: false });
  running.add(child);
  child.log = () => readFileSync(log, 'utf8');
  child.gone = new Promise((resolve) => child.on('exit', resolve));
  child.gone.then(() => running.delete(child));
  return child;
}

async function stop(child) {
  if (running.has(child)) child.kill('SIGTERM');
  await child.gone;
}

async function until(what, check, seconds) {
  const end = Date.now() + seconds * 1000;
  while (Date.now() < end) {
    if (await check().catch(() => false)) return;
    await sleep(100);
  }
  throw new Error(`${what}: not within ${seconds} s`);
}

const answers = (url) => async () => (await fetch(url)).ok;

const [http, opPort, kcPort] = [await freePort(), await freePort(), await freePort()];
const base = `http://127.0.0.1:${http}`;

const op = {
  id: 'oidc-provider',
  issuer: `http://127.0.0.1:${opPort}`,
  fields: { login: 'alice', password: 'x' },
  start() {
    const env = {
      ...process.env, PORT: opPort, REDIRECT_URIS: `${base}/auth/callback`, POST_LOGOUT_URIS: `${base}/`,
      BACKCHANNEL_URI: `${base}/auth/backchannel-logout`, AT_TTL: SECONDS,
    };
    this.child = start(this.id, 'node', [join(tools, 'op.mjs')], { env });
    return until(this.id, answers(`${this.issuer}/.well-known/openid-configuration`), 20);
  },
  /** It makes a key at each start. */
  async rotate() {
    await stop(this.child);
    await this.start();
  },
};

const keycloak = {
  id: 'keycloak',
  issuer: `http://127.0.0.1:${kcPort}/realms/test`,
  fields: { username: 'alice', password: 'alice-pw' },
  async start() {
    const home = join(scratch, 'keycloak');
    cpSync(process.env.KEYCLOAK_HOME, home, { recursive: true });
    const realm = JSON.parse(readFileSync(join(tools, 'realm.json'), 'utf8'));
    realm.accessTokenLifespan = SECONDS;
    const [client] = realm.clients;
    client.redirectUris = [`${base}/*`];
    client.attributes['post.logout.redirect.uris'] = `${base}/*`;
    client.attributes['backchannel.logout.url'] = `${base}/auth/backchannel-logout`;
    mkdirSync(join(home, 'data/import'), { recursive: true });
    writeFileSync(join(home, 'data/import/realm.json'), JSON.stringify(realm));
    const env = {
      ...process.env, KC_BOOTSTRAP_ADMIN_USERNAME: 'admin', KC_BOOTSTRAP_ADMIN_PASSWORD: 'admin-pw',
      JAVA_OPTS_KC_HEAP: '-Xms64m -Xmx512m',
    };
    const args = ['start-dev', '--import-realm', '--http-host=127.0.0.1', `--http-port=${kcPort}`];
    // A group of its own: the script starts Java beside it.
    this.child = start(this.id, join(home, 'bin/kc.sh'), args, { env, detached: true });
    await until(this.id, answers(`${this.issuer}/.well-known/openid-configuration`), 240);
  },
  async rotate() {
    const admin = `http://127.0.0.1:${kcPort}`;
    const form = { grant_type: 'password', client_id: 'admin-cli', username: 'admin', password: 'admin-pw' };
    const answer = await fetch(`${admin}/realms/master/protocol/openid-connect/token`, {
      method: 'POST', body: new URLSearchParams(form),
    });
    const headers = { authorization: `Bearer ${(await answer.json()).access_token}`, 'content-type': 'application/json' };
    const realm = await (await fetch(`${admin}/admin/realms/test`, { headers })).json();
    const key = {
      name: 'rotated', providerId: 'rsa-generated', providerType: 'org.keycloak.keys.KeyProvider', parentId: realm.id,
      config: { priority: ['200'], enabled: ['true'], active: ['true'], keySize: ['2048'] },
    };
    const made = await fetch(`${admin}/admin/realms/test/components`, { method: 'POST', headers, body: JSON.stringify(key) });
    assert.equal(made.status, 201);
  },
};

async function graphql(browser, query, variables) {
  const response = await browser.send(`${base}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-csrf': '1' },
    body: JSON.stringify({ query, variables }),
  });
  assert.equal(response.status, 200);
  return response.json();
}

const viewer = async (browser) => (await graphql(browser, '{ viewer { id roles } }')).data.viewer;
const home = (url) => url.startsWith(`${base}/`) && !url.startsWith(`${base}/auth/`);

async function signIn(provider) {
  const browser = new Browser();
  const { url, status, html } = await browser.walk(
    `${base}/auth/login?provider=${provider.id}&return_to=/meetings`, provider.fields, home);
  assert.equal(url, `${base}/meetings`, `${status} ${html?.slice(0, 300)}`);
  return browser;
}

const renewals = (app) => (app.log().match(/session\.renewed/g) ?? []).length;

async function exercise(provider, app) {
  const began = Date.now();
  const browser = await signIn(provider);
  const who = await viewer(browser);
  assert.deepEqual(who.roles.sort(), ['OPERATOR', 'RESIDENT', 'REVIEWER'], 'roles come from the provider');

  const before = renewals(app);
  for (const turn of [1, 2]) {
    await sleep((SECONDS + 1) * 1000);
    const asked = await Promise.all(Array.from({ length: 10 }, () => viewer(browser)));
    assert.ok(asked.every((one) => one?.id === who.id), 'still signed in');
    await until('renewal', async () => renewals(app) === before + turn, 5);
  }

  // By the provider's own page, in the same browser: it tells us behind the browser's back.
  const discovery = await (await fetch(`${provider.issuer}/.well-known/openid-configuration`)).json();
  const out = new URL(discovery.end_session_endpoint);
  out.search = new URLSearchParams({ client_id: 'bff', post_logout_redirect_uri: `${base}/` });
  assert.equal((await browser.walk(out.href, {}, home)).url, `${base}/`);
  await until('back-channel logout', async () => (await viewer(browser)) === null, 10);

  // By ours, which leads to the provider's.
  const second = await signIn(provider);
  const response = await second.send(`${base}/auth/logout`, { method: 'POST', headers: { 'x-csrf': '1' } });
  const { location } = await response.json();
  assert.ok(location.startsWith(discovery.end_session_endpoint), location);
  assert.equal(await viewer(second), null);
  assert.equal((await second.walk(location, {}, home)).url, `${base}/`);
  // The provider has forgotten them too: it asks who they are.
  const { url, form } = await second.walk(`${base}/auth/login?provider=${provider.id}`, undefined, home);
  assert.ok(form, url);

  await provider.rotate();
  assert.ok(await viewer(await signIn(provider)), 'signed in under a new key');
  console.log(`${provider.id}: sign-in, renewal, sign-out both ways, key rotation in ${Date.now() - began} ms`);
}

/** As an app does: it signs in by itself, and shows the access token (RFC 9068) that it asked for by resource. */
async function phone(provider) {
  const discovery = await (await fetch(`${provider.issuer}/.well-known/openid-configuration`)).json();
  const verifier = randomBytes(32).toString('base64url');
  const redirect = `${base}/auth/callback`;
  const begin = new URL(discovery.authorization_endpoint);
  begin.search = new URLSearchParams({
    client_id: 'phone', response_type: 'code', redirect_uri: redirect, scope: 'openid councilsense', resource: base, state: 'x',
    code_challenge: createHash('sha256').update(verifier).digest('base64url'), code_challenge_method: 'S256',
  });
  const { url } = await new Browser().walk(begin.href, provider.fields, (at) => at.startsWith(redirect));
  const code = new URL(url).searchParams.get('code');
  assert.ok(code, url);
  const tokens = await fetch(discovery.token_endpoint, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'authorization_code', client_id: 'phone', code, redirect_uri: redirect, code_verifier: verifier, resource: base,
    }),
  });
  const { access_token: access, id_token: id, error_description: problem } = await tokens.json();
  assert.equal(access?.split('.').length, 3, problem ?? 'a JWT');
  const ask = (token) =>
    fetch(`${base}/api/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
      body: JSON.stringify({ query: '{ viewer { id roles } }' }),
    });
  const { data } = await (await ask(access)).json();
  assert.deepEqual(data.viewer.roles.sort(), ['OPERATOR', 'RESIDENT', 'REVIEWER']);
  assert.equal(data.viewer.id, (await viewer(await signIn(provider))).id, 'the same person as in a browser');
  assert.equal((await ask(id)).status, 401, 'an id token is none');
  console.log(`${provider.id}: an app's access token is taken`);
}

async function link(first, second) {
  const browser = await signIn(first);
  const who = await viewer(browser);
  const mutation = 'mutation($p: String!) { linkIdentity(input: {provider: $p, returnTo: "/settings"}) { location } }';
  const { data } = await graphql(browser, mutation, { p: second.id });
  // Both ask again, whatever session the browser has with them. Bob has no account here yet.
  const other = { ...second, fields: { username: 'bob', password: 'bob-pw' } };
  const { url } = await browser.walk(
    `${base}${data.linkIdentity.location}`, { ...first.fields, ...other.fields }, home);
  assert.equal(url, `${base}/settings`);
  assert.equal((await graphql(browser, '{ identities { issuer } }')).data.identities.length, 2);
  assert.equal((await viewer(await signIn(other))).id, who.id, 'either leads to the same account');
  console.log(`${first.id} and ${second.id}: linked`);
}

const table = (provider) => `[[oidc-provider]]
id = "${provider.id}"
issuer = "${provider.issuer}"
client-id = "bff"
client-secret = "${SECRET}"
scopes = ["profile", "email", "roles"]
tenant = "default"
roles-claim = "roles"
`;

let failed = true;
try {
  const providers = process.env.KEYCLOAK_HOME ? [op, keycloak] : [op];
  await Promise.all(providers.map((provider) => provider.start()));
  const config = join(scratch, 'councilsense.toml');
  writeFileSync(config, providers.map(table).join('\n'));
  const app = start('councilsense', bin, [
    'up', '--config', config, '--data-dir', join(scratch, 'data'), '--http', `127.0.0.1:${http}`,
    '--grpc', '127.0.0.1:0', '--demo', 'false', '--log', 'info,bff=debug', '--log-format', 'json',
  ]);
  await until('councilsense up', answers(`${base}/readyz`), 120);
  // oidc-provider forgets people's consent when it starts anew, so linking comes last.
  await phone(op);
  for (const provider of providers) await exercise(provider, app);
  if (providers.length > 1) await link(op, keycloak);
  assert.ok(!app.log().includes('eyJ'), 'no token in the log');
  assert.ok(!app.log().includes('was not revoked'));
  await stop(app);
  failed = false;
} finally {
  for (const child of running) {
    if (child === keycloak.child) process.kill(-child.pid, 'SIGTERM');
    else child.kill('SIGTERM');
  }
  await Promise.all([...running].map((child) => child.gone));
  if (failed) {
    console.error(`the logs are in ${scratch}`);
    process.exitCode = 1;
  } else rmSync(scratch, { recursive: true, force: true });
}
