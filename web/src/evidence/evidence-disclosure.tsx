import { useState } from 'react';
import { useLoaded } from '../graphql/use-loaded.ts';
import { ARTIFACT_KINDS } from '../text/words.ts';
import { describeFailure } from '../text/errors.ts';
import { Excerpt, placeOf } from './excerpt.tsx';
import { ClaimContext, type ClaimItem } from './fragments.ts';

/** The evidence of a claim, opened in place. */
export function EvidenceDisclosure({ claim }: { claim: ClaimItem }) {
  const [open, setOpen] = useState(false);
  const [first] = claim.evidence;
  if (!first) return null;
  const place = placeOf(first);
  const more = claim.evidence.length - 1;
  return (
    <details className="evidence" onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>
        <span className="evidence-cite">
          {ARTIFACT_KINDS[first.artifact.kind]}
          {place ? `, ${place}` : null}
          {more > 0 ? ` and ${more} more` : null}
        </span>
        <span className="visually-hidden">: show the evidence</span>
      </summary>
      {open ? <EvidenceList claim={claim} /> : null}
    </details>
  );
}

function EvidenceList({ claim }: { claim: ClaimItem }) {
  const loaded = useLoaded(ClaimContext, { id: claim.id });
  const node = loaded.status === 'ready' ? loaded.data.node : null;
  const contexts = new Map(node?.__typename === 'Claim' ? node.evidence.map((each) => [each.url, each.context]) : []);
  const settled = loaded.status !== 'loading';
  const failure = loaded.status === 'failed' ? describeFailure(loaded.error) : null;
  return (
    <div aria-busy={!settled}>
      {claim.evidence.map((evidence) => {
        const context = contexts.get(evidence.url) ?? null;
        return (
          <Excerpt
            key={evidence.url}
            evidence={evidence}
            context={context}
            note={settled && !context ? <MissingContext requestId={failure?.requestId ?? null} /> : null}
          />
        );
      })}
    </div>
  );
}

/** The sentence is shown even when its surroundings cannot be: it is the evidence, they are a help. */
export function MissingContext({ requestId }: { requestId: string | null }) {
  return (
    <p className="fine" role="status">
      The text around it could not be loaded; the document has it.
      {requestId ? (
        <>
          {' '}
          Request id <code>{requestId}</code>
        </>
      ) : null}
    </p>
  );
}
