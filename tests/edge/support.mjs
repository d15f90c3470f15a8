// What every file here shares: where the server is, and the session of a resident.

export const base = process.env.BASE_URL ?? 'http://127.0.0.1:8080';
export const cookie = process.env.COOKIE;
if (!cookie) throw new Error('COOKIE is missing: COOKIE="$(scripts/sign-in)"');

export const headers = { cookie, 'x-csrf': '1' };
export const socketUrl = `${base.replace(/^http/, 'ws')}/graphql/ws`;
