import { describeStatus, type Failure } from '../text/errors.ts';

/** Ends the session, then goes where the server says (the identity provider's own sign-out, or home). */
export async function signOut(): Promise<Failure | null> {
  let response: Response;
  try {
    response = await fetch('/auth/logout', {
      method: 'POST',
      credentials: 'same-origin',
      headers: { accept: 'application/json', 'x-csrf': '1' },
    });
  } catch {
    return describeStatus(503, null);
  }
  if (!response.ok) return describeStatus(response.status, response.headers.get('x-request-id'));
  const answer: unknown = await response.json().catch(() => null);
  const location = (answer as { location?: unknown } | null)?.location;
  window.location.assign(typeof location === 'string' ? location : '/');
  return null;
}
