import type { ReactNode } from 'react';
import { Link } from 'react-router';
import { ARTIFACT_KINDS } from '../text/words.ts';
import { documentHref, localPath } from '../text/links.ts';
import { formatOffset } from '../text/dates.ts';
import type { EvidenceContext, EvidenceItem } from './fragments.ts';

interface ExcerptProps {
  evidence: EvidenceItem;
  /** The text around it; null while it is on its way or when it could not be had. */
  context: EvidenceContext | null;
  /** Said under the excerpt when there is no context. */
  note?: ReactNode;
  /** The permanent link is left out on the page that it leads to. */
  withPermanentLink?: boolean;
}

/** The cited sentence, marked, in its place in the document. */
export function Excerpt({ evidence, context, note, withPermanentLink = true }: ExcerptProps) {
  const { artifact } = evidence;
  const permanent = localPath(evidence.url, window.location.origin);
  return (
    <figure className="excerpt">
      <blockquote className="excerpt-text" cite={artifact.url}>
        {context?.heading ? <p className="excerpt-heading">{context.heading}</p> : null}
        <p>
          {context?.before}
          <mark>{evidence.excerpt}</mark>
          {context?.after}
        </p>
      </blockquote>
      {note}
      <figcaption>
        <span>
          {ARTIFACT_KINDS[artifact.kind]}: {artifact.title}
          {placeOf(evidence) ? `, ${placeOf(evidence)}` : null}
        </span>
        <span className="row">
          <a href={documentHref(artifact.url, evidence.page)}>
            {evidence.page ? `Open the document at page ${evidence.page}` : 'Open the document'}
          </a>
          {withPermanentLink && permanent ? <Link to={permanent}>Permanent link</Link> : null}
        </span>
      </figcaption>
    </figure>
  );
}

/** "page 12" or "at 1:02:03", whichever the document has. */
export function placeOf(evidence: Pick<EvidenceItem, 'page' | 'timeMs'>): string | null {
  if (evidence.page) return `page ${evidence.page}`;
  if (evidence.timeMs !== null) return `at ${formatOffset(evidence.timeMs)}`;
  return null;
}
