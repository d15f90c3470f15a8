import { graphql, type ResultOf } from '../graphql/graphql.ts';
import { ARTIFACT_KINDS, ARTIFACT_STATUSES, formatBytes, humanize, plural } from '../text/words.ts';

export const ArtifactFields = graphql(`
  fragment ArtifactFields on Artifact {
    id
    kind
    title
    fileName
    mediaType
    sizeBytes
    status
    reason
    pages
    sourceUrl
    url
  }
`);

type ArtifactItem = ResultOf<typeof ArtifactFields>;

/** The documents of a meeting as the city published them, each with how far we could read it. */
export function ArtifactList({ artifacts }: { artifacts: readonly ArtifactItem[] }) {
  if (artifacts.length === 0) return <p>No document has been published for this meeting yet.</p>;
  return (
    <ul className="artifact-list">
      {artifacts.map((artifact) => (
        <li key={artifact.id}>
          <p>
            <a href={artifact.url}>{artifact.title || artifact.fileName}</a>
          </p>
          <p className="fine">
            {[
              ARTIFACT_KINDS[artifact.kind],
              artifact.pages ? plural(artifact.pages, 'page') : null,
              formatBytes(artifact.sizeBytes),
            ]
              .filter(Boolean)
              .join(' · ')}
          </p>
          {artifact.status !== 'EXTRACTED' ? (
            <p className="fine">
              <span className="badge badge-caution">{ARTIFACT_STATUSES[artifact.status]}</span>{' '}
              {artifact.reason ? humanize(artifact.reason) : null}
            </p>
          ) : null}
          {artifact.sourceUrl && /^https?:/.test(artifact.sourceUrl) ? (
            <p className="fine">
              <a href={artifact.sourceUrl} rel="noreferrer">
                At the city’s own site
              </a>
            </p>
          ) : null}
        </li>
      ))}
    </ul>
  );
}
