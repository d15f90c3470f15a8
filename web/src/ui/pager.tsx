import { Link, useLocation, useSearchParams } from 'react-router';

interface PagerProps {
  label: string;
  pageInfo: {
    hasNextPage: boolean;
    hasPreviousPage: boolean;
    startCursor: string | null;
    endCursor: string | null;
  };
  /** Connections that page only forwards lead back to the start instead of one page back. */
  forwardOnly?: boolean;
  words?: { previous: string; next: string };
}

/** Paging by cursor. The cursor is in the address, so a page can be linked to and the back button works. */
export function Pager({ label, pageInfo, forwardOnly = false, words }: PagerProps) {
  const { pathname } = useLocation();
  const [params] = useSearchParams();
  const isFirst = !params.has('after') && !params.has('before');
  const to = (cursor: Record<string, string>) => {
    const next = new URLSearchParams(params);
    next.delete('after');
    next.delete('before');
    for (const [name, value] of Object.entries(cursor)) next.set(name, value);
    return `${pathname}?${next}`;
  };
  const next = pageInfo.hasNextPage && pageInfo.endCursor ? to({ after: pageInfo.endCursor }) : null;
  const first = isFirst ? null : to({});
  const previous =
    !forwardOnly && !isFirst && pageInfo.hasPreviousPage && pageInfo.startCursor
      ? to({ before: pageInfo.startCursor })
      : null;
  if (!next && !previous && !first) return null;
  return (
    <nav className="pager" aria-label={label}>
      {previous ? (
        <Link className="button" to={previous} rel="prev">
          {words?.previous ?? 'Previous'}
        </Link>
      ) : null}
      {first && !previous ? (
        <Link className="button" to={first}>
          Back to the first page
        </Link>
      ) : null}
      {next ? (
        <Link className="button" to={next} rel="next">
          {words?.next ?? 'Next'}
        </Link>
      ) : null}
    </nav>
  );
}

/** How many items a page of a list holds. */
export const PAGE_SIZE = 20;

/** The paging arguments that the address asks for. */
export function pagingOf(params: URLSearchParams): {
  first: number | null;
  after: string | null;
  last: number | null;
  before: string | null;
} {
  const before = params.get('before');
  return before
    ? { first: null, after: null, last: PAGE_SIZE, before }
    : { first: PAGE_SIZE, after: params.get('after'), last: null, before: null };
}
