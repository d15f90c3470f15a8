import { useState } from 'react';
import { Link, useParams, useSearchParams } from 'react-router';
import { graphql, type ResultOf } from '../graphql/graphql.ts';
import { useLoaded } from '../graphql/use-loaded.ts';
import { Claim, OutcomeBadge } from '../meetings/claim.tsx';
import { formatDay } from '../text/dates.ts';
import { isMissing } from '../text/errors.ts';
import { documentHref, isSameSpan, meetingPath, overlaps, spanOfSearch, type SpanAddress } from '../text/links.ts';
import { ARTIFACT_KINDS } from '../text/words.ts';
import { NotFound } from '../ui/not-found.tsx';
import { Page } from '../ui/page.tsx';
import { Failed, Loading, PartlyFailed } from '../ui/states.tsx';
import { MissingContext } from './evidence-disclosure.tsx';
import { Excerpt, placeOf } from './excerpt.tsx';
import { ClaimContext, ClaimFields, type ClaimItem, type EvidenceItem } from './fragments.ts';

const EvidenceQuery = graphql(
  `
    query EvidencePage($id: ID!) {
      meeting(id: $id) {
        id
        title
        date
        city {
          id
          name
        }
        body {
          id
          name
        }
        artifacts {
          id
          kind
          title
          url
        }
        summary {
          id
          claims {
            ...ClaimFields
          }
        }
      }
    }
  `,
  [ClaimFields],
);

type Meeting = NonNullable<ResultOf<typeof EvidenceQuery>['meeting']>;

/** The permanent address of a sentence: what it says, where it stands, and what rests on it. */
export default function EvidencePage() {
  const { id = '' } = useParams();
  const [params] = useSearchParams();
  const address = spanOfSearch(params);
  const loaded = useLoaded(EvidenceQuery, { id });
  if (!address) return <NotFound what="evidence" />;
  if (loaded.status === 'loading') return <Loading what="the evidence" />;
  if (loaded.status === 'failed') {
    if (isMissing(loaded.error)) return <NotFound what="evidence" />;
    return (
      <Page title="Evidence">
        <Failed error={loaded.error} onRetry={loaded.refresh} />
      </Page>
    );
  }
  const { meeting } = loaded.data;
  if (!meeting) return <NotFound what="evidence" />;
  const cited = findCited(meeting, address);
  return (
    <Page
      title={`Evidence from ${meeting.title}, ${formatDay(meeting.date, 'short')}`}
      heading="Evidence"
      lead={
        <p>
          From <Link to={meetingPath(meeting.id)}>{meeting.title}</Link>, {meeting.city.name} {meeting.body.name},{' '}
          <time dateTime={meeting.date}>{formatDay(meeting.date)}</time>
        </p>
      }
    >
      <PartlyFailed error={loaded.error} />
      {cited ? <Cited meeting={meeting} {...cited} /> : <NotCited meeting={meeting} address={address} />}
    </Page>
  );
}

function Cited({ meeting, evidence, claims }: { meeting: Meeting; evidence: EvidenceItem; claims: ClaimItem[] }) {
  const [first] = claims;
  const loaded = useLoaded(ClaimContext, { id: first?.id ?? '' }, { pause: !first });
  const node = loaded.status === 'ready' ? loaded.data.node : null;
  const context =
    (node?.__typename === 'Claim' ? node.evidence.find((each) => each.url === evidence.url)?.context : null) ?? null;
  return (
    <>
      <Excerpt
        evidence={evidence}
        context={context}
        withPermanentLink={false}
        note={loaded.status !== 'loading' && !context ? <MissingContext requestId={null} /> : null}
      />
      <CopyCitation citation={citationOf(meeting, evidence)} />
      <section aria-labelledby="rests-on-it">
        <h2 id="rests-on-it">What rests on it</h2>
        <ul className="claims">
          {claims.map((claim) => (
            <li key={claim.id} className="claim">
              {claim.decision ? (
                <p className="claim-head">
                  <OutcomeBadge outcome={claim.decision.outcome} />
                  <span className="file-number">{claim.decision.fileNumber}</span>
                </p>
              ) : null}
              <p className="claim-text">{claim.text}</p>
            </li>
          ))}
        </ul>
      </section>
    </>
  );
}

/** A span that no claim cites as it is: a passage of the search, or a claim of an earlier version. */
function NotCited({ meeting, address }: { meeting: Meeting; address: SpanAddress }) {
  const artifact = meeting.artifacts.find(
    ({ id, url }) => id === address.artifact || url.endsWith(`/${address.artifact}`),
  );
  const within = (meeting.summary?.claims ?? []).filter((claim) =>
    claim.evidence.some(({ url }) => overlaps(url, address)),
  );
  return (
    <>
      <div className="notice notice-empty">
        <p className="notice-title">No claim of the present summary cites exactly this passage</p>
        <p>It may come from a search, or from an earlier version of the summary. The document itself is unchanged.</p>
        <p className="row">
          {artifact ? (
            <a className="button" href={documentHref(artifact.url, null)}>
              Open {ARTIFACT_KINDS[artifact.kind].toLowerCase()}: {artifact.title}
            </a>
          ) : null}
          <Link className="button" to={meetingPath(meeting.id)}>
            The meeting and its documents
          </Link>
        </p>
      </div>
      {within.length > 0 ? (
        <section aria-labelledby="within">
          <h2 id="within">Claims from within it</h2>
          <ul className="claims">
            {within.map((claim) => (
              <Claim key={claim.id} claim={claim} />
            ))}
          </ul>
        </section>
      ) : null}
    </>
  );
}

function CopyCitation({ citation }: { citation: string }) {
  const [said, setSaid] = useState('');
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(citation);
      setSaid('Copied.');
    } catch {
      setSaid('Your browser did not allow copying; select the text instead.');
    }
  };
  return (
    <div className="citation">
      <p>{citation}</p>
      <button type="button" className="button" onClick={() => void copy()}>
        Copy citation
      </button>
      <span className="fine" role="status">
        {said}
      </span>
    </div>
  );
}

function citationOf(meeting: Meeting, evidence: EvidenceItem): string {
  const place = placeOf(evidence);
  return [
    `“${evidence.excerpt.replace(/\s+/g, ' ').trim()}”`,
    `${ARTIFACT_KINDS[evidence.artifact.kind]}, ${meeting.title}`,
    `${meeting.city.name} ${meeting.body.name}`,
    formatDay(meeting.date, 'short'),
    ...(place ? [place] : []),
    new URL(evidence.url, window.location.origin).href,
  ].join(', ');
}

function findCited(meeting: Meeting, address: SpanAddress): { evidence: EvidenceItem; claims: ClaimItem[] } | null {
  const claims = (meeting.summary?.claims ?? []).filter((claim) =>
    claim.evidence.some(({ url }) => isSameSpan(url, address)),
  );
  const evidence = claims[0]?.evidence.find(({ url }) => isSameSpan(url, address));
  return evidence ? { evidence, claims } : null;
}
