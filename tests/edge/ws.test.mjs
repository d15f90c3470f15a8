// The `graphql-transport-ws` protocol as its reference client speaks it, and the close codes that it names.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { CloseCode, createClient } from 'graphql-ws';
import { WebSocket } from 'ws';
import { base, cookie, socketUrl } from './support.mjs';

/** A browser sends its cookie and its origin, and nothing else of ours. */
class Browser extends WebSocket {
  constructor(url, protocols) {
    super(url, protocols, { headers: { cookie }, origin: base });
  }
}

const connect = (options = {}) =>
  createClient({ url: socketUrl, webSocketImpl: Browser, retryAttempts: 0, lazy: true, ...options });

/** What a socket that says these lines is closed with. */
async function closedAfter(lines, { protocol = 'graphql-transport-ws', ...options } = {}) {
  const socket = new WebSocket(socketUrl, protocol ? [protocol] : [], {
    headers: { cookie },
    origin: base,
    ...options,
  });
  const closed = once(socket, 'close');
  await once(socket, 'open');
  for (const line of lines) socket.send(typeof line === 'string' ? line : JSON.stringify(line));
  const [code] = await closed;
  return code;
}

const init = { type: 'connection_init' };
const subscribe = (id, query) => ({ type: 'subscribe', id, payload: { query } });
const live = 'subscription { meetingPublished { version } }';

test('a query and an error come back by the socket', async (t) => {
  const client = connect();
  t.after(() => client.dispose());
  const answers = [];
  for await (const answer of client.iterate({ query: '{ viewer { displayName } __typename }' })) answers.push(answer);
  assert.equal(answers.length, 1);
  assert.equal(answers[0].data.__typename, 'Query');
  assert.ok(answers[0].data.viewer.displayName, 'the session is that of the cookie');
  // A connection of its own: the first one closes when nothing is under way on it.
  const other = connect();
  t.after(() => other.dispose());
  const errors = await new Promise((resolve, reject) =>
    other.subscribe({ query: '{ nothing }' }, { next: reject, error: resolve, complete: reject }),
  );
  assert.equal(errors[0].extensions.code, 'BAD_USER_INPUT');
});

test('many subscriptions share a connection, and each can be left', async (t) => {
  const client = connect();
  t.after(() => client.dispose());
  const left = [];
  for (let n = 0; n < 5; n++) {
    left.push(client.subscribe({ query: live }, { next() {}, error: assert.fail, complete() {} }));
  }
  const one = client.iterate({ query: '{ __typename }' });
  assert.equal((await one.next()).value.data.__typename, 'Query');
  left.forEach((leave) => leave());
});

test('ping is answered with pong, and its payload comes back', async (t) => {
  const client = connect();
  t.after(() => client.dispose());
  await new Promise((resolve, reject) => {
    client.on('opened', (socket) => {
      socket.addEventListener('message', ({ data }) => {
        const message = JSON.parse(data);
        if (message.type === 'connection_ack') socket.send(JSON.stringify({ type: 'ping', payload: { n: 1 } }));
        if (message.type === 'pong') {
          try {
            assert.deepEqual(message.payload, { n: 1 });
            resolve();
          } catch (error) {
            reject(error);
          }
        }
      });
    });
    client.subscribe({ query: live }, { next() {}, error: reject, complete() {} });
  });
});

for (const [name, code, lines, options] of [
  ['what is not JSON', CloseCode.BadRequest, ['{']],
  ['an unknown message', CloseCode.BadRequest, [{ type: 'start' }]],
  ['a message that only a server sends', CloseCode.BadRequest, [init, { type: 'connection_ack' }]],
  ['a subscription without an id', CloseCode.BadRequest, [init, { type: 'subscribe', payload: { query: live } }]],
  ['a subscription without a query', CloseCode.BadRequest, [init, { type: 'subscribe', id: '1', payload: {} }]],
  ['a subscription before the acknowledgement', CloseCode.Unauthorized, [subscribe('1', live)]],
  ['initialising twice', CloseCode.TooManyInitialisationRequests, [init, init]],
  ['an id twice', CloseCode.SubscriberAlreadyExists, [init, subscribe('1', live), subscribe('1', live)]],
  ['no initialisation in time', CloseCode.ConnectionInitialisationTimeout, []],
  ['no subprotocol', CloseCode.SubprotocolNotAcceptable, [], { protocol: '' }],
  [
    'a session that is over',
    CloseCode.Forbidden,
    [init],
    { headers: { cookie: `${cookie.split('=')[0]}=AAAAAAAAAAAAAAAAAAAAAA` } },
  ],
]) {
  test(`${name}: ${code}`, async () => {
    assert.equal(await closedAfter(lines, options), code);
  });
}

for (const [name, options] of [
  ['another site', { origin: 'https://evil.example' }],
  ['null', { origin: 'null' }],
  ['none, with a session', { origin: undefined }],
]) {
  test(`the origin ${name} is refused before the upgrade`, async () => {
    const socket = new WebSocket(socketUrl, ['graphql-transport-ws'], { headers: { cookie }, ...options });
    const [, response] = await once(socket, 'unexpected-response');
    assert.equal(response.statusCode, 403);
    response.destroy();
  });
}
