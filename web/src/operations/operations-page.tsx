import { Link, useSearchParams } from 'react-router';
import { useMutation } from 'urql';
import { graphql, type RunState } from '../graphql/graphql.ts';
import { useLoaded } from '../graphql/use-loaded.ts';
import { useToast } from '../live/toasts.tsx';
import { formatMoment } from '../text/dates.ts';
import { describeFailure, type GraphqlFailure } from '../text/errors.ts';
import { meetingPath } from '../text/links.ts';
import { formatShare, humanize, RUN_STATES } from '../text/words.ts';
import { Page } from '../ui/page.tsx';
import { Pager } from '../ui/pager.tsx';
import { Empty, Failed, Loading } from '../ui/states.tsx';
import { ForViewer } from '../viewer/for-viewer.tsx';
import { isOperator } from '../viewer/viewer.tsx';

const RunsQuery = graphql(`
  query Runs($state: String, $after: String) {
    runs(state: $state, first: 20, after: $after) {
      nodes {
        id
        state
        reason
        claimsProposed
        claimsVerified
        ecr
        updatedAt
        trigger
        meeting {
          id
          title
          date
        }
      }
      pageInfo {
        hasNextPage
        hasPreviousPage
        startCursor
        endCursor
      }
    }
  }
`);

const SourcesQuery = graphql(`
  query Sources {
    sources {
      id
      kind
      location
      schedule
      lastScanAt
      lastScanStatus
      lastScanReason
      city {
        id
        name
      }
    }
  }
`);

const Rerun = graphql(`
  mutation RerunMeeting($input: RerunMeetingInput!) {
    rerunMeeting(input: $input) {
      run {
        id
        state
      }
      userErrors {
        message
      }
    }
  }
`);

const Scan = graphql(`
  mutation ScanCity($input: ScanCityInput!) {
    scanCity(input: $input) {
      sources {
        id
      }
      userErrors {
        message
      }
    }
  }
`);

/** For operators: what the pipeline is doing, and where it reads from. */
export default function OperationsPage() {
  return (
    <ForViewer title="Operations" invitation="Runs and sources are shown to operators.">
      {(viewer) =>
        isOperator(viewer) ? (
          <Page title="Operations" width="wide">
            <Runs />
            <Sources />
          </Page>
        ) : (
          <Page title="Operations">
            <p>Runs and sources are shown to operators. An owner of this space can grant the role.</p>
          </Page>
        )
      }
    </ForViewer>
  );
}

/** Tells how an operator's command went. */
function useReport(): (done: string, error: GraphqlFailure | undefined, refusal: string | undefined) => void {
  const showToast = useToast();
  return (done, error, refusal) => {
    if (error) {
      const failure = describeFailure(error);
      showToast({ title: failure.title, body: failure.advice });
    } else if (refusal) showToast({ title: 'Not done', body: refusal });
    else showToast({ title: done, passing: true });
  };
}

function Runs() {
  const [params, setParams] = useSearchParams();
  const state = params.get('state');
  const loaded = useLoaded(
    RunsQuery,
    { state, after: params.get('after') },
    { keepPrevious: true, live: true, dependsOn: ['Run'] },
  );
  const [rerunning, rerun] = useMutation(Rerun);
  const report = useReport();
  const again = async (meetingId: string) => {
    const result = await rerun({ input: { meetingId } });
    report('Run requested', result.error, result.data?.rerunMeeting.userErrors[0]?.message);
  };
  return (
    <section aria-labelledby="runs">
      <h2 id="runs">Runs</h2>
      <div className="filters">
        <label>
          <span>State</span>
          <select
            value={state ?? ''}
            onChange={(event) => setParams(event.target.value ? { state: event.target.value } : {})}
          >
            <option value="">Any state</option>
            {(Object.keys(RUN_STATES) as RunState[]).map((each) => (
              <option key={each} value={each.toLowerCase()}>
                {RUN_STATES[each].label}
              </option>
            ))}
          </select>
        </label>
      </div>
      {loaded.status === 'loading' ? <Loading what="runs" /> : null}
      {loaded.status === 'failed' ? <Failed error={loaded.error} onRetry={loaded.refresh} /> : null}
      {loaded.status === 'ready' && loaded.data.runs.nodes.length === 0 ? <Empty title="No run like that" /> : null}
      {loaded.status === 'ready' && loaded.data.runs.nodes.length > 0 ? (
        <>
          <div className="table-frame" tabIndex={0} role="region" aria-label="Table of runs">
            <table>
              <thead>
                <tr>
                  <th scope="col">Meeting</th>
                  <th scope="col">State</th>
                  <th scope="col">Claims verified</th>
                  <th scope="col">Changed</th>
                  <th scope="col">Trigger</th>
                  <th scope="col">Again</th>
                </tr>
              </thead>
              <tbody>
                {loaded.data.runs.nodes.map((run) => (
                  <tr key={run.id}>
                    <th scope="row">
                      {run.meeting ? <Link to={meetingPath(run.meeting.id)}>{run.meeting.title}</Link> : '—'}
                      {run.meeting ? <span className="fine"> {run.meeting.date}</span> : null}
                    </th>
                    <td>
                      {RUN_STATES[run.state].label}
                      {run.reason ? <span className="fine"> {humanize(run.reason)}</span> : null}
                    </td>
                    <td>
                      {run.claimsVerified} of {run.claimsProposed}
                      {run.ecr !== null ? ` (${formatShare(run.ecr)})` : null}
                    </td>
                    <td>{formatMoment(run.updatedAt)}</td>
                    <td>{humanize(run.trigger)}</td>
                    <td>
                      {run.meeting ? (
                        <button
                          type="button"
                          className="button"
                          disabled={rerunning.fetching}
                          aria-label={`Run ${run.meeting.title} of ${run.meeting.date} again`}
                          onClick={() => run.meeting && void again(run.meeting.id)}
                        >
                          Run
                        </button>
                      ) : null}
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
          <Pager
            label="More runs"
            pageInfo={loaded.data.runs.pageInfo}
            forwardOnly
            words={{ previous: '', next: 'Older runs' }}
          />
        </>
      ) : null}
    </section>
  );
}

function Sources() {
  const loaded = useLoaded(SourcesQuery, {}, { dependsOn: ['Source'] });
  const [scanning, scan] = useMutation(Scan);
  const report = useReport();
  if (loaded.status === 'loading') return <Loading what="sources" lines={3} />;
  if (loaded.status === 'failed') return <Failed error={loaded.error} onRetry={loaded.refresh} />;
  const scanCity = async (cityId: string) => {
    const result = await scan({ input: { cityId } });
    report('Scan requested', result.error, result.data?.scanCity.userErrors[0]?.message);
  };
  return (
    <section aria-labelledby="sources">
      <h2 id="sources">Sources</h2>
      {loaded.data.sources.length === 0 ? (
        <Empty title="No source yet">
          <p>
            Add one with <code>councilsense source add</code>.
          </p>
        </Empty>
      ) : (
        <ul className="session-list">
          {loaded.data.sources.map((source) => (
            <li key={source.id}>
              <span>
                <strong>
                  {source.city.name}: {humanize(source.kind)}
                </strong>
                <span className="fine">{source.location}</span>
                <span className="fine">
                  {source.lastScanAt ? `Read ${formatMoment(source.lastScanAt)}` : 'Never read'}
                  {source.lastScanStatus ? `: ${humanize(source.lastScanStatus)}` : null}
                  {source.lastScanReason ? ` (${humanize(source.lastScanReason)})` : null}
                  {source.schedule ? ` · ${source.schedule}` : null}
                </span>
              </span>
              <button
                type="button"
                className="button"
                disabled={scanning.fetching}
                aria-label={`Scan now: ${source.city.name}`}
                onClick={() => void scanCity(source.city.id)}
              >
                Scan now
              </button>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}
