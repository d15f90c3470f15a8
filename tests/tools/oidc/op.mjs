// Independent, certified OIDC provider (npm oidc-provider) for integration tests.
// env: PORT (9090), ISSUER, REDIRECT_URIS (comma), POST_LOGOUT_URIS (comma), BACKCHANNEL_URI
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import Provider from 'oidc-provider';
// Resource indicators are read with it; Node.js has it from version 22.
URL.parse ??= (text, base) => (URL.canParse(text, base) ? new URL(text, base) : null);
const PORT = Number(process.env.PORT ?? 9090);
const ISSUER = process.env.ISSUER ?? `http://127.0.0.1:${PORT}`;
const redirect_uris = (process.env.REDIRECT_URIS ?? 'http://127.0.0.1:18999/auth/callback').split(',');
const post_logout_redirect_uris = (process.env.POST_LOGOUT_URIS ?? 'http://127.0.0.1:18999/').split(',');
const backchannel_logout_uri = process.env.BACKCHANNEL_URI;
const people = { alice: { name: 'Alice Admin', email: 'alice@example.test', roles: ['operator', 'reviewer'], tenant: 't1' },
                 bob: { name: 'Bob Reader', email: 'bob@example.test', roles: ['resident'], tenant: 't2' } };
const common = { redirect_uris, post_logout_redirect_uris, response_types: ['code'], grant_types: ['authorization_code', 'refresh_token'],
  scope: 'openid offline_access profile email roles',
  ...(backchannel_logout_uri ? { backchannel_logout_uri, backchannel_logout_session_required: true } : {}) };
// A new key at each start: a restart is a key rotation.
const key = { ...generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' }), kid: randomUUID(), use: 'sig', alg: 'RS256' };
const provider = new Provider(ISSUER, {
  jwks: { keys: [key] },
  clients: [
    { client_id: 'bff', client_secret: 'bff-secret-for-tests-only', token_endpoint_auth_method: 'client_secret_basic', ...common },
    { client_id: 'spa', token_endpoint_auth_method: 'none', ...common },
    { client_id: 'phone', token_endpoint_auth_method: 'none', ...common, scope: undefined },
    { client_id: 'svc', client_secret: 'svc-secret', redirect_uris: [], response_types: [], grant_types: ['client_credentials'] },
  ],
  pkce: { required: () => true },                      // S256 is the only method of v9
  claims: { openid: ['sub', 'sid'], profile: ['name'], email: ['email', 'email_verified'], roles: ['roles', 'tenant'] },
  scopes: ['openid', 'offline_access', 'profile', 'email', 'roles'],
  conformIdTokenClaims: false,                         // scope claims go into the id_token
  async findAccount(ctx, id) { return { accountId: id, async claims() { return { sub: id, email_verified: true, ...(people[id] ?? { name: id, email: `${id}@example.test`, roles: [] }) }; } }; },
  // OpenID 1.0 wants prompt=consent for offline_access: here refresh tokens are always issued to clients with the grant
  issueRefreshToken: async (ctx, client, code) => client.grantTypeAllowed('refresh_token') && code.scopes.has('openid'),
  rotateRefreshToken: true,
  ttl: { AccessToken: Number(process.env.AT_TTL ?? 60), IdToken: 300, RefreshToken: 3600, Session: 3600, Grant: 3600, Interaction: 600, AuthorizationCode: 60 },
  // v9.x refuses loopback hosts for outgoing calls (SSRF guard is in options.dispatcher): drop it for this test server
  fetch: (url, { dispatcher, ...o }) => globalThis.fetch(url, o),
  cookies: { keys: ['test-cookie-key'] },
  // A JWT (RFC 9068) for whatever resource is named (RFC 8707).
  extraTokenClaims: (ctx, token) => (token.kind === 'AccessToken' && token.aud ? { roles: people[token.accountId]?.roles ?? [] } : undefined),
  features: { devInteractions: { enabled: true }, backchannelLogout: { enabled: true }, rpInitiatedLogout: { enabled: true },
    introspection: { enabled: true }, revocation: { enabled: true }, clientCredentials: { enabled: true }, userinfo: { enabled: true },
    resourceIndicators: { enabled: true, getResourceServerInfo: (ctx, resource) => ({ audience: resource, scope: 'councilsense',
      accessTokenFormat: 'jwt', accessTokenTTL: 300, jwt: { sign: { alg: 'RS256' } } }) } },
});
provider.on('server_error', (c, e) => console.error('server_error', e));
provider.on('backchannel.success', (c, cl) => console.error('backchannel.success', cl.clientId));
provider.on('backchannel.error', (c, e, cl) => console.error('backchannel.error', cl.clientId, e.message, e.cause ?? ''));
provider.on('grant.error', (c, e) => console.error('grant.error', e.error, e.error_description, e.error_detail));
provider.on('authorization.error', (c, e) => console.error('authorization.error', e.error, e.error_description));
const s = provider.listen(PORT, '127.0.0.1', () => console.log('ready', ISSUER));
for (const sig of ['SIGTERM', 'SIGINT']) process.on(sig, () => { s.close(); process.exit(0); });
