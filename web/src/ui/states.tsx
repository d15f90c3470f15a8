import type { ReactNode } from 'react';
import { useLocation } from 'react-router';
import { signInPath } from '../text/links.ts';
import { describeFailure, type Failure, type GraphqlFailure } from '../text/errors.ts';

/** Holds the place of what is being loaded, so that nothing jumps when it arrives. */
export function Loading({ what, lines = 6 }: { what: string; lines?: number }) {
  return (
    <div className="loading" role="status">
      <span className="visually-hidden">Loading {what}…</span>
      {Array.from({ length: lines }, (_, index) => (
        <span key={index} className="loading-line" aria-hidden="true" />
      ))}
    </div>
  );
}

/** There is nothing to show, and that is an answer; the children say what to do next. */
export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className="notice notice-empty">
      <p className="notice-title">{title}</p>
      {children}
    </div>
  );
}

/** It did not work: what, what to do about it, and the request's id to tell the operator. */
export function Failed({ error, onRetry }: { error: GraphqlFailure; onRetry?: (() => void) | undefined }) {
  return <FailureNotice failure={describeFailure(error)} onRetry={onRetry} />;
}

export function FailureNotice({ failure, onRetry }: { failure: Failure; onRetry?: (() => void) | undefined }) {
  const { pathname, search } = useLocation();
  return (
    <div className="notice notice-failed" role="alert">
      <p className="notice-title">{failure.title}</p>
      <p>{failure.advice}</p>
      <div className="row">
        {failure.remedy === 'retry' && onRetry ? (
          <button type="button" className="button" onClick={onRetry}>
            Try again
          </button>
        ) : null}
        {failure.remedy === 'sign-in' ? (
          <a className="button button-primary" href={signInPath(pathname + search)}>
            Sign in
          </a>
        ) : null}
      </div>
      {failure.requestId ? (
        <p className="fine">
          Request id <code>{failure.requestId}</code>
        </p>
      ) : null}
    </div>
  );
}

/** A part is missing from what is shown: said, never hidden. */
export function PartlyFailed({ error }: { error: GraphqlFailure | undefined }) {
  if (!error) return null;
  const failure = describeFailure(error);
  return (
    <div className="notice notice-partial" role="status">
      <p>
        <strong>Some of this page could not be loaded.</strong> {failure.title}.
        {failure.requestId ? (
          <>
            {' '}
            Request id <code>{failure.requestId}</code>
          </>
        ) : null}
      </p>
    </div>
  );
}
