import { describe, expect, it } from 'vitest';
import { describeFailure, describeStatus } from './errors.ts';

describe('describeFailure', () => {
  it('takes the code and the request id from the answer, never the server’s message', () => {
    const failure = describeFailure({
      graphQLErrors: [
        { extensions: {} },
        { extensions: { code: 'RATE_LIMITED', requestId: 'req-7', detail: 'bucket 12 of 10' } },
      ],
    });
    expect(failure).toMatchObject({ code: 'RATE_LIMITED', requestId: 'req-7', remedy: 'retry' });
    expect(JSON.stringify(failure)).not.toContain('bucket');
  });

  it('offers to sign in when the session has ended', () => {
    expect(describeFailure({ graphQLErrors: [{ extensions: { code: 'UNAUTHENTICATED' } }] }).remedy).toBe('sign-in');
  });

  it('is an internal error when the code is unknown or a name of the object prototype', () => {
    expect(describeFailure({ graphQLErrors: [{ extensions: { code: 'SOMETHING_NEW' } }] }).code).toBe('INTERNAL');
    expect(describeFailure({ graphQLErrors: [{ extensions: { code: 'toString' } }] }).code).toBe('INTERNAL');
  });

  it('tells an unreachable server from one that answers with a status', () => {
    expect(describeFailure({ networkError: new TypeError('fetch'), graphQLErrors: [] }).code).toBe('OFFLINE');
    const response = new Response('', { status: 503, headers: { 'x-request-id': 'req-9' } });
    expect(describeFailure({ networkError: new Error('no JSON'), graphQLErrors: [], response })).toMatchObject({
      code: 'UNAVAILABLE',
      requestId: 'req-9',
    });
  });
});

describe('describeStatus', () => {
  it.each([
    [401, 'UNAUTHENTICATED'],
    [403, 'FORBIDDEN'],
    [404, 'NOT_FOUND'],
    [415, 'BAD_USER_INPUT'],
    [429, 'RATE_LIMITED'],
    [500, 'INTERNAL'],
    [503, 'UNAVAILABLE'],
  ])('%i is %s', (status, code) => {
    expect(describeStatus(status, 'req-1')).toMatchObject({ code, requestId: 'req-1' });
  });
});
