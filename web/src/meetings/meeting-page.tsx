import { Link, useParams } from 'react-router';
import { ClaimFields, type ClaimItem } from '../evidence/fragments.ts';
import { graphql, type ResultOf } from '../graphql/graphql.ts';
import { useLoaded } from '../graphql/use-loaded.ts';
import { formatClock, formatDay, formatMoment } from '../text/dates.ts';
import { isMissing } from '../text/errors.ts';
import { cityPath } from '../text/links.ts';
import {
  formatShare,
  HIDDEN_SUMMARY,
  humanize,
  isUnderWay,
  MEETING_STATUSES,
  plural,
  RUN_STATES,
} from '../text/words.ts';
import { NotFound } from '../ui/not-found.tsx';
import { Page } from '../ui/page.tsx';
import { Failed, Loading, PartlyFailed } from '../ui/states.tsx';
import { ArtifactFields, ArtifactList } from './artifact-list.tsx';
import { ClaimSection } from './claim-section.tsx';
import { Claim } from './claim.tsx';

const MeetingQuery = graphql(
  `
    query MeetingPage($id: ID!) {
      meeting(id: $id) {
        id
        title
        date
        startsAt
        location
        status
        runState
        runReason
        city {
          id
          name
          slug
          timeZone
        }
        body {
          id
          name
        }
        artifacts {
          ...ArtifactFields
        }
        summary {
          id
          version
          verdict
          verdictReasons
          shortSummary
          ecr
          claimsProposed
          claimsVerified
          createdAt
          highlights {
            id
          }
          claims {
            ...ClaimFields
          }
          history {
            version
            createdAt
            verdict
          }
        }
      }
    }
  `,
  [ArtifactFields, ClaimFields],
);

type Meeting = NonNullable<ResultOf<typeof MeetingQuery>['meeting']>;
type Summary = NonNullable<Meeting['summary']>;

export default function MeetingPage() {
  const { id = '' } = useParams();
  const loaded = useLoaded(MeetingQuery, { id }, { live: true });
  if (loaded.status === 'loading') return <Loading what="the meeting" lines={12} />;
  if (loaded.status === 'failed') {
    if (isMissing(loaded.error)) return <NotFound what="meeting" />;
    return (
      <Page title="Meeting">
        <Failed error={loaded.error} onRetry={loaded.refresh} />
      </Page>
    );
  }
  const { meeting } = loaded.data;
  if (!meeting) return <NotFound what="meeting" />;
  return (
    <Page
      title={`${meeting.title}, ${formatDay(meeting.date, 'short')}`}
      heading={meeting.title}
      width="wide"
      eyebrow={
        <>
          <Link to={cityPath(meeting.city.slug)}>{meeting.city.name}</Link> ·{' '}
          <Link
            to={`/meetings?city=${encodeURIComponent(meeting.city.id)}&body=${encodeURIComponent(meeting.body.id)}`}
          >
            {meeting.body.name}
          </Link>
        </>
      }
      lead={<When meeting={meeting} />}
    >
      <PartlyFailed error={loaded.error} />
      <div className="meeting-layout">
        <div className="meeting-main">
          {meeting.summary ? <SummaryView summary={meeting.summary} /> : <NoSummary meeting={meeting} />}
        </div>
        <aside className="meeting-aside">
          <section aria-labelledby="documents">
            <h2 id="documents">Documents</h2>
            <ArtifactList artifacts={meeting.artifacts} />
          </section>
          {meeting.summary ? <AboutSummary summary={meeting.summary} /> : null}
        </aside>
      </div>
    </Page>
  );
}

function When({ meeting }: { meeting: Meeting }) {
  return (
    <p className="when">
      <time dateTime={meeting.startsAt ?? meeting.date}>
        {formatDay(meeting.date)}
        {meeting.startsAt ? `, ${formatClock(meeting.startsAt, meeting.city.timeZone)}` : null}
      </time>
      {meeting.location ? <span>{meeting.location}</span> : null}
      <span className={`badge status-${meeting.status.toLowerCase()}`}>{MEETING_STATUSES[meeting.status]}</span>
    </p>
  );
}

/** Why there is nothing to read: what has been done, what stopped it, and whether waiting helps. */
function NoSummary({ meeting }: { meeting: Meeting }) {
  const state = RUN_STATES[meeting.runState];
  const waiting = isUnderWay(meeting.runState);
  return (
    <section className={`notice ${waiting ? 'notice-empty' : 'notice-partial'}`} aria-labelledby="no-summary">
      <h2 id="no-summary" className="notice-title">
        No summary {waiting ? 'yet' : 'is published'}: {state.label.toLowerCase()}
      </h2>
      <p>{state.meaning}</p>
      {meeting.runReason ? <p>Reason given: {humanize(meeting.runReason)}</p> : null}
      {waiting ? <p className="fine">This page shows it as soon as it is published.</p> : null}
    </section>
  );
}

function SummaryView({ summary }: { summary: Summary }) {
  const byId = new Map(summary.claims.map((claim) => [claim.id, claim]));
  const highlights = summary.highlights.map(({ id }) => byId.get(id)).filter((claim) => claim !== undefined);
  const ofKind = (kind: ClaimItem['kind']) => summary.claims.filter((claim) => claim.kind === kind);
  const sections = [
    { id: 'decisions', title: 'Decisions', claims: ofKind('DECISION') },
    { id: 'actions', title: 'Actions', claims: ofKind('ACTION') },
    { id: 'topics', title: 'Topics', claims: ofKind('TOPIC') },
    { id: 'facts', title: 'Facts', claims: ofKind('FACT') },
  ].filter((section) => section.claims.length > 0);
  return (
    <>
      {summary.verdict === 'LIMITED_CONFIDENCE' ? <LimitedConfidence reasons={summary.verdictReasons} /> : null}
      <section aria-labelledby="in-short" className="in-short">
        <h2 id="in-short">In short</h2>
        {highlights.length > 0 ? (
          <ul className="claims claims-highlighted">
            {highlights.map((claim) => (
              <Claim key={claim.id} claim={claim} />
            ))}
          </ul>
        ) : (
          <p>{summary.shortSummary || HIDDEN_SUMMARY}</p>
        )}
      </section>
      {sections.length > 1 ? (
        <nav className="section-nav" aria-label="Parts of the summary">
          {sections.map(({ id, title, claims }) => (
            <a key={id} href={`#${id}`}>
              {title} <span className="count">{claims.length}</span>
            </a>
          ))}
        </nav>
      ) : null}
      {sections.map((section) => (
        <ClaimSection key={section.id} {...section} />
      ))}
    </>
  );
}

function LimitedConfidence({ reasons }: { reasons: readonly string[] }) {
  return (
    <div className="notice notice-partial">
      <p className="notice-title">{RUN_STATES.LIMITED_CONFIDENCE.label}</p>
      <p>{RUN_STATES.LIMITED_CONFIDENCE.meaning}</p>
      {reasons.length > 0 ? (
        <ul>
          {reasons.map((reason) => (
            <li key={reason}>{humanize(reason)}</li>
          ))}
        </ul>
      ) : null}
    </div>
  );
}

function AboutSummary({ summary }: { summary: Summary }) {
  return (
    <section aria-labelledby="about-summary">
      <h2 id="about-summary">About this summary</h2>
      <dl className="facts">
        <div>
          <dt>Claims with verified evidence</dt>
          <dd>
            {summary.claimsVerified} of {summary.claimsProposed} ({formatShare(summary.ecr)})
          </dd>
        </div>
        <div>
          <dt>Version</dt>
          <dd>
            {summary.version}, {formatMoment(summary.createdAt)}
          </dd>
        </div>
      </dl>
      {summary.history.length > 1 ? (
        <details>
          <summary>{plural(summary.history.length, 'version')} so far</summary>
          <ul className="fine">
            {summary.history.map((each) => (
              <li key={each.version}>
                Version {each.version}, {formatMoment(each.createdAt)}
              </li>
            ))}
          </ul>
        </details>
      ) : null}
      <p className="fine">Claims are in the official words of the documents. What could not be verified is left out.</p>
    </section>
  );
}
