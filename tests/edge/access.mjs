// The access table: every gRPC method and every GraphQL field, by every kind of caller, as a running system answers.
import { execFileSync } from 'node:child_process';
import { createHash, createPrivateKey, sign } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import grpc from '@grpc/grpc-js';
import loader from '@grpc/proto-loader';

const root = fileURLToPath(new URL('../..', import.meta.url));
const AUDIENCE = ['accounts', 'meetings', 'summaries', 'notifications', 'search', 'bff'];

/** A 128-bit number as the 26 characters of a ULID. */
function ulid(bytes) {
  const digits = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
  let number = BigInt(`0x${bytes.toString('hex')}`);
  let text = '';
  for (let n = 0; n < 26; n++, number >>= 5n) text = digits[Number(number & 31n)] + text;
  return text;
}

export const tenantId = (slug) =>
  ulid(createHash('sha256').update(`councilsense tenant ${slug}`).digest().subarray(0, 16));
const somebody = (name) => ulid(createHash('sha256').update(`somebody ${name}`).digest().subarray(0, 16));

/** Kinds of callers of gRPC: what their tokens say. `null`: no token at all. */
export const CALLERS = {
  'no token': null,
  anonymous: { iss: 'bff', sub: 'anonymous', tenant: 'default', roles: [] },
  resident: { iss: 'bff', sub: `user:${somebody('resident')}`, tenant: 'default', roles: ['resident'] },
  "another tenant's resident": {
    iss: 'bff',
    sub: `user:${somebody('resident-b')}`,
    tenant: 'tenant-b',
    roles: ['resident'],
  },
  reviewer: { iss: 'bff', sub: `user:${somebody('reviewer')}`, tenant: 'default', roles: ['reviewer'] },
  operator: { iss: 'bff', sub: `user:${somebody('operator')}`, tenant: 'default', roles: ['operator'] },
  owner: { iss: 'bff', sub: `user:${somebody('owner')}`, tenant: 'default', roles: ['owner'] },
  terminal: { iss: 'cli', sub: 'operator:terminal', tenant: 'default', roles: ['operator'] },
  service: { iss: 'bff', sub: 'service:bff', tenant: 'default', roles: [] },
};

function token(key, caller) {
  const now = Math.floor(Date.now() / 1000);
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const claims = { ...caller, tenant: tenantId(caller.tenant), aud: AUDIENCE, iat: now, exp: now + 60 };
  const signed = `${part({ alg: 'EdDSA', typ: 'JWT' })}.${part(claims)}`;
  return `${signed}.${sign(null, Buffer.from(signed), key).toString('base64url')}`;
}

/** The key that signs caller tokens. Its file also holds the public half, which Node's OpenSSL does not read. */
function signingKey(secrets) {
  const [, text] = readFileSync(secrets, 'utf8').match(/-----BEGIN PRIVATE KEY-----([\s\S]*?)-----END PRIVATE KEY-----/);
  const der = Buffer.from(text.replaceAll('\\n', ''), 'base64');
  const seed = Buffer.from('04220420', 'hex');
  const at = der.indexOf(seed) + seed.length;
  const start = Buffer.from('302e020100300506032b657004220420', 'hex');
  return createPrivateKey({ key: Buffer.concat([start, der.subarray(at, at + 32)]), format: 'der', type: 'pkcs8' });
}

/** Every method of every service in `proto/`. */
function methods() {
  const dir = join(root, 'proto');
  const files = readdirSync(dir, { recursive: true }).filter((file) => file.endsWith('.proto'));
  const definition = loader.loadSync(files, { includeDirs: [dir] });
  return Object.values(definition)
    .filter((service) => !service.format)
    .flatMap((service) => Object.values(service))
    .sort((one, other) => (one.path < other.path ? -1 : 1));
}

/** The status that a method answers an empty message with; 0 where it answers, or stays open. */
function ask(client, method, metadata) {
  const bytes = (value) => value;
  const options = { deadline: Date.now() + 20_000 };
  return new Promise((resolve) => {
    const done = (error) => resolve(error ? error.code : 0);
    const answered = (call) => {
      call.on('data', () => {
        resolve(0);
        call.cancel();
      });
      call.on('error', done);
      call.on('end', () => resolve(0));
      // A watch that was let in says nothing until something happens.
      setTimeout(() => {
        resolve(0);
        call.cancel();
      }, 5_000).unref();
    };
    const { path, requestStream, responseStream } = method;
    if (requestStream) {
      const call = client.makeClientStreamRequest(path, bytes, bytes, metadata, options, done);
      call.on('error', () => {});
      call.end(Buffer.alloc(0));
    } else if (responseStream) {
      answered(client.makeServerStreamRequest(path, bytes, bytes, Buffer.alloc(0), metadata, options));
    } else {
      client.makeUnaryRequest(path, bytes, bytes, Buffer.alloc(0), metadata, options, done);
    }
  });
}

const WORDS = new Map([
  [grpc.status.UNAUTHENTICATED, 'sign in'],
  [grpc.status.PERMISSION_DENIED, 'no'],
  [grpc.status.UNIMPLEMENTED, 'not served'],
]);

/** Nothing can be told from these. */
const BROKEN = [grpc.status.DEADLINE_EXCEEDED, grpc.status.UNAVAILABLE, grpc.status.INTERNAL, grpc.status.UNKNOWN];

/** Rows of the table of gRPC. */
export async function grpcRows({ address, secrets }) {
  const key = signingKey(secrets);
  const client = new grpc.Client(address, grpc.credentials.createInsecure());
  const rows = [];
  for (const method of methods()) {
    const row = [`\`${method.path.slice(1).replace('councilsense.', '').replace('.v1', '')}\``];
    for (const caller of Object.values(CALLERS)) {
      const metadata = new grpc.Metadata();
      if (caller) metadata.set('authorization', `Bearer ${token(key, caller)}`);
      const status = await ask(client, method, metadata);
      if (BROKEN.includes(status)) throw new Error(`${method.path} answers ${status}`);
      row.push(WORDS.get(status) ?? 'yes');
    }
    rows.push(row);
  }
  client.close();
  return rows;
}

const INTROSPECTION = `{ __schema { queryType { name } mutationType { name } subscriptionType { name } types { kind name
  inputFields { name type { ...T } defaultValue } enumValues { name }
  fields { name args { name defaultValue type { ...T } } type { ...T } } } } }
  fragment T on __Type { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name } } } } }`;
const KINDS = ['Artifact', 'Body', 'City', 'Claim', 'DeadLetter', 'Follow', 'Identity', 'Meeting', 'Notification'];
KINDS.push('Run', 'Session', 'Source', 'Summary', 'User');

const bare = (type) => (type.ofType ? bare(type.ofType) : type);

/** GraphQL as one caller asks it. */
class Asker {
  constructor(base, cookie) {
    this.base = base;
    this.cookie = cookie;
  }

  async post(query) {
    const headers = { 'content-type': 'application/json', 'x-csrf': '1' };
    if (this.cookie) headers.cookie = this.cookie;
    const path = query.startsWith('subscription') ? '/graphql/stream' : '/graphql';
    const leave = new AbortController();
    const timer = setTimeout(() => leave.abort(), path === '/graphql' ? 10_000 : 700);
    try {
      const response = await fetch(this.base + path, {
        method: 'POST',
        headers,
        body: JSON.stringify({ query }),
        signal: leave.signal,
      });
      if (path === '/graphql') return await response.json();
      const text = await response.text();
      return JSON.parse(text.match(/^data: ?(\{.*)$/m)[1]);
    } catch (error) {
      // A subscription that was let in says nothing until something happens.
      if (error.name === 'AbortError' && path !== '/graphql') return { data: {} };
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }
}

/** A value of a type, as GraphQL writes it. Only what has to be there is there. */
function value(types, type, kind) {
  if (type.kind === 'NON_NULL') return value(types, type.ofType, kind);
  if (type.kind === 'LIST') return `[${value(types, type.ofType, kind)}]`;
  if (type.kind === 'ENUM') return types.get(type.name).enumValues[0].name;
  if (type.kind === 'INPUT_OBJECT') {
    const due = types.get(type.name).inputFields.filter((f) => f.type.kind === 'NON_NULL' && f.defaultValue === null);
    return `{${due.map((f) => `${f.name}: ${value(types, f.type, kind)}`).join(', ')}}`;
  }
  const own = kind === 'Summary' ? '01J00000000000000000000999.1' : '01J00000000000000000000999';
  const scalars = {
    ID: JSON.stringify(Buffer.from(`${kind}:${own}`).toString('base64url')),
    Int: '1',
    Float: '1',
    Boolean: 'true',
    Date: '"2024-01-01"',
    DateTime: '"2024-01-01T00:00:00Z"',
  };
  return scalars[type.name] ?? '"x"';
}

/** Rows of the table of GraphQL's root fields, and what hangs below. */
export async function graphqlRows({ base, cookies }) {
  const anybody = new Asker(base);
  const { data } = await anybody.post(INTROSPECTION);
  const schema = data.__schema;
  const types = new Map(schema.types.map((type) => [type.name, type]));
  const rows = [];
  const roots = [
    ['query', schema.queryType.name],
    ['mutation', schema.mutationType.name],
    ['subscription', schema.subscriptionType.name],
  ];
  for (const [operation, name] of roots) {
    for (const field of types.get(name).fields.toSorted((one, other) => (one.name < other.name ? -1 : 1))) {
      const row = [`\`${name}.${field.name}\``];
      for (const cookie of Object.values(cookies)) row.push(await reach(new Asker(base, cookie), operation, field, types));
      rows.push(row);
    }
  }
  const below = [...types.values()]
    .filter((type) => type.fields && !type.name.startsWith('__') && !roots.some(([, name]) => name === type.name))
    .toSorted((one, other) => (one.name < other.name ? -1 : 1))
    .map((type) => [`\`${type.name}\``, type.fields.map((field) => `\`${field.name}\``).toSorted().join(' ')]);
  return { rows, below };
}

async function reach(asker, operation, field, types) {
  const leaf = ['SCALAR', 'ENUM'].includes(bare(field.type).kind);
  // Which kind an id has to be of is not in the schema: the first that is not refused for that.
  for (const kind of ['Meeting', ...KINDS]) {
    const due = field.args.filter((arg) => arg.type.kind === 'NON_NULL' && arg.defaultValue === null);
    const given = due.map((arg) => `${arg.name}: ${value(types, arg.type, kind)}`).join(', ');
    const query = `${operation} { ${field.name}${given && `(${given})`} ${leaf ? '' : '{ __typename }'} }`;
    const answer = await asker.post(query);
    const code = answer.errors?.[0]?.extensions?.code;
    const wrongKind = code === 'BAD_USER_INPUT' && /id of a|names no|must be the id/.test(JSON.stringify(answer.errors));
    if (wrongKind && kind !== KINDS.at(-1)) continue;
    if (code === 'UNAUTHENTICATED') return 'sign in';
    if (code === 'FORBIDDEN') return 'no';
    if (code && !['BAD_USER_INPUT', 'NOT_FOUND', 'CONFLICT'].includes(code)) throw new Error(`${query}: ${JSON.stringify(answer)}`);
    return 'yes';
  }
}

/** Signs in at the development provider, as `scripts/sign-in` does. */
export const signIn = (person, base) =>
  execFileSync(join(root, 'scripts/sign-in'), [person, base], { encoding: 'utf8' }).trim();

/** A table as Markdown writes it. */
export const table = (head, rows) =>
  [head, head.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n');
