/** The stable `extensions.code` values of the API, and the two that this page adds for what never got there. */
export type FailureCode =
  | 'UNAUTHENTICATED'
  | 'FORBIDDEN'
  | 'NOT_FOUND'
  | 'BAD_USER_INPUT'
  | 'CONFLICT'
  | 'RATE_LIMITED'
  | 'TOO_COMPLEX'
  | 'UNAVAILABLE'
  | 'INTERNAL'
  | 'OFFLINE';

/** What went wrong, told to a reader: what it is, what to do next, and the id to quote to the operator. */
export interface Failure {
  readonly code: FailureCode;
  readonly title: string;
  readonly advice: string;
  readonly requestId: string | null;
  /** What is worth offering: trying the same again, or signing in first. */
  readonly remedy: 'retry' | 'sign-in' | 'none';
}

/** The part of urql's `CombinedError` that is read here. */
export interface GraphqlFailure {
  readonly networkError?: Error | undefined;
  readonly graphQLErrors: readonly { readonly extensions?: Record<string, unknown> | undefined }[];
  readonly response?: unknown;
}

const WORDS: Record<FailureCode, Pick<Failure, 'title' | 'advice' | 'remedy'>> = {
  UNAUTHENTICATED: {
    title: 'Please sign in',
    advice: 'This belongs to your account, and you are signed out or your session has ended.',
    remedy: 'sign-in',
  },
  FORBIDDEN: {
    title: 'You may not see this',
    advice: 'Your account has no permission for it. An owner of this space can grant the role.',
    remedy: 'none',
  },
  NOT_FOUND: {
    title: 'There is nothing here',
    advice: 'The address may be mistyped, or what it named is not public.',
    remedy: 'none',
  },
  BAD_USER_INPUT: {
    title: 'The server did not accept that',
    advice: 'Check what you entered or the address you followed, and try again.',
    remedy: 'none',
  },
  CONFLICT: {
    title: 'This was changed in the meantime',
    advice: 'Load it again to see the present state, then repeat your change.',
    remedy: 'retry',
  },
  RATE_LIMITED: { title: 'Too many requests', advice: 'Wait a minute, then try again.', remedy: 'retry' },
  TOO_COMPLEX: {
    title: 'Too much was asked for at once',
    advice: 'Narrow it down with a filter and try again.',
    remedy: 'none',
  },
  UNAVAILABLE: {
    title: 'A part of the service is not answering',
    advice: 'Nothing is lost. Try again in a moment.',
    remedy: 'retry',
  },
  INTERNAL: {
    title: 'Something went wrong on our side',
    advice: 'Try again. If it stays, tell the operator the request id below.',
    remedy: 'retry',
  },
  OFFLINE: {
    title: 'The server cannot be reached',
    advice: 'Check your connection, then try again.',
    remedy: 'retry',
  },
};

/** Translates a failed GraphQL request for a reader. The server's own message is never shown. */
export function describeFailure(error: GraphqlFailure): Failure {
  const coded = error.graphQLErrors.find((each) => toCode(each.extensions?.['code']) !== null);
  const code =
    toCode(coded?.extensions?.['code']) ??
    (error.graphQLErrors.length > 0 ? 'INTERNAL' : codeOfResponse(error.response));
  const quoted = error.graphQLErrors.map((each) => each.extensions?.['requestId']).find(isText);
  return { code, ...WORDS[code], requestId: quoted ?? headerOf(error.response, 'x-request-id') };
}

/** Whether a failure to look something up by its id means that there is no such thing. */
export function isMissing(error: GraphqlFailure): boolean {
  const { code } = describeFailure(error);
  return code === 'NOT_FOUND' || code === 'BAD_USER_INPUT';
}

/** The failure that a plain HTTP status stands for, for requests that are not GraphQL. */
export function describeStatus(status: number, requestId: string | null): Failure {
  const code = codeOfStatus(status);
  return { code, ...WORDS[code], requestId };
}

function toCode(value: unknown): FailureCode | null {
  return isText(value) && Object.hasOwn(WORDS, value) ? (value as FailureCode) : null;
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '';
}

function codeOfResponse(response: unknown): FailureCode {
  const status = (response as { status?: unknown } | undefined)?.status;
  return typeof status === 'number' ? codeOfStatus(status) : 'OFFLINE';
}

function codeOfStatus(status: number): FailureCode {
  if (status === 401) return 'UNAUTHENTICATED';
  if (status === 403) return 'FORBIDDEN';
  if (status === 404) return 'NOT_FOUND';
  if (status === 429) return 'RATE_LIMITED';
  if (status === 502 || status === 503 || status === 504) return 'UNAVAILABLE';
  if (status >= 400 && status < 500) return 'BAD_USER_INPUT';
  return 'INTERNAL';
}

function headerOf(response: unknown, name: string): string | null {
  const headers = (response as { headers?: { get?: (name: string) => string | null } } | undefined)?.headers;
  return headers?.get?.(name) ?? null;
}
