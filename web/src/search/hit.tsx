import { Link } from 'react-router';
import { placeOf } from '../evidence/excerpt.tsx';
import { segmentByCodePoints } from '../text/code-points.ts';
import { formatDay } from '../text/dates.ts';
import { documentHref, localPath, meetingPath } from '../text/links.ts';
import { ARTIFACT_KINDS, PASSAGE_KINDS } from '../text/words.ts';
import type { SearchHit } from './search-query.ts';

/** One passage that was found: what it says, where it stands, and why it is here. */
export function Hit({ hit }: { hit: SearchHit }) {
  const { meeting, passage } = hit;
  const permanent = localPath(passage.url, window.location.origin);
  const place = placeOf(passage);
  return (
    <li className="hit">
      <h3>{meeting ? <Link to={meetingPath(meeting.id)}>{meeting.title}</Link> : 'A passage without a meeting'}</h3>
      <p className="fine">
        {meeting ? (
          <>
            <time dateTime={meeting.date}>{formatDay(meeting.date, 'short')}</time> · {meeting.city.name} ·{' '}
            {meeting.body.name}
          </>
        ) : null}
        {passage.kind !== 'PASSAGE' ? <span className="badge">{PASSAGE_KINDS[passage.kind]}</span> : null}
      </p>
      <blockquote className="hit-text">
        {passage.heading ? <p className="excerpt-heading">{passage.heading}</p> : null}
        <p>
          {segmentByCodePoints(passage.text, passage.highlights).map((segment, index) =>
            segment.marked ? <mark key={index}>{segment.text}</mark> : <span key={index}>{segment.text}</span>,
          )}
        </p>
      </blockquote>
      <p className="row hit-links">
        {passage.artifact ? (
          <a href={documentHref(passage.artifact.url, passage.page)}>
            {ARTIFACT_KINDS[passage.artifact.kind]}
            {place ? `, ${place}` : null}
          </a>
        ) : null}
        {permanent ? <Link to={permanent}>Permanent link</Link> : null}
      </p>
      <Explanation hit={hit} />
    </li>
  );
}

function Explanation({ hit }: { hit: SearchHit }) {
  const { explanation } = hit;
  return (
    <details className="explanation">
      <summary>
        Why this result<span className="visually-hidden">: {hit.meeting?.title ?? 'passage'}</span>
      </summary>
      <dl className="facts">
        <div>
          <dt>Words that matched</dt>
          <dd>
            {explanation.matchedTerms.length > 0 ? explanation.matchedTerms.join(', ') : 'none: found by meaning'}
          </dd>
        </div>
        <div>
          <dt>By words</dt>
          <dd>{rankOf(explanation.keywordRank, explanation.keywordScore)}</dd>
        </div>
        <div>
          <dt>By meaning</dt>
          <dd>{rankOf(explanation.vectorRank, explanation.vectorScore)}</dd>
        </div>
        <div>
          <dt>Together</dt>
          <dd>score {explanation.fusedScore.toFixed(3)}</dd>
        </div>
      </dl>
    </details>
  );
}

function rankOf(rank: number | null, score: number | null): string {
  if (rank === null && score === null) return 'not found this way';
  return [rank === null ? null : `rank ${rank}`, score === null ? null : `score ${score.toFixed(3)}`]
    .filter(Boolean)
    .join(', ');
}
