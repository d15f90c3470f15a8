/** The address of a meeting's page. Ids are opaque, so they are escaped. */
export function meetingPath(id: string): string {
  return `/meetings/${encodeURIComponent(id)}`;
}

export function cityPath(slug: string): string {
  return `/cities/${encodeURIComponent(slug)}`;
}

/** Where signing in begins; the reader comes back to `returnTo`, a path of this application. */
export function signInPath(returnTo: string): string {
  return `/auth/login?return_to=${encodeURIComponent(returnTo)}`;
}

/** A stored document opened at a page: PDF viewers understand `#page=N`. */
export function documentHref(url: string, page: number | null | undefined): string {
  return page ? `${url}#page=${page}` : url;
}

/**
 * The path of a link of this application, or null when it leads elsewhere. The server may write its permanent
 * links absolute, for citing; inside the page they are followed without loading it anew.
 */
export function localPath(url: string, origin: string): string | null {
  try {
    const parsed = new URL(url, origin);
    return parsed.origin === origin ? parsed.pathname + parsed.search + parsed.hash : null;
  } catch {
    return null;
  }
}

/** The span that a permanent link names: the `artifact`, `start` and `end` of its query. */
export interface SpanAddress {
  readonly artifact: string;
  readonly start: number;
  readonly end: number;
}

export function spanOfSearch(search: URLSearchParams): SpanAddress | null {
  const artifact = search.get('artifact');
  const start = toOffset(search.get('start'));
  const end = toOffset(search.get('end'));
  if (!artifact || start === null || end === null || end <= start) return null;
  return { artifact, start, end };
}

/** The span of a permanent link given as text. */
export function spanOfUrl(url: string): SpanAddress | null {
  const query = url.includes('?') ? url.slice(url.indexOf('?')) : '';
  return spanOfSearch(new URLSearchParams(query));
}

/** Whether two spans of one artifact share a code point. */
export function overlaps(url: string, address: SpanAddress): boolean {
  const span = spanOfUrl(url);
  return span !== null && span.artifact === address.artifact && span.start < address.end && address.start < span.end;
}

/** Whether a piece of evidence is the one that an address names. */
export function isSameSpan(url: string, address: SpanAddress): boolean {
  const span = spanOfUrl(url);
  return (
    span !== null && span.artifact === address.artifact && span.start === address.start && span.end === address.end
  );
}

function toOffset(value: string | null): number | null {
  return value !== null && /^\d{1,12}$/.test(value) ? Number(value) : null;
}
