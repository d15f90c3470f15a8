import { useState } from 'react';
import { useMutation } from 'urql';
import { graphql } from '../graphql/graphql.ts';
import { describeFailure } from '../text/errors.ts';
import { formatMoment } from '../text/dates.ts';
import type { Viewer } from '../viewer/viewer.tsx';

const UpdatePreferences = graphql(`
  mutation UpdateNotificationPreferences($input: UpdateNotificationPreferencesInput!) {
    updateNotificationPreferences(input: $input) {
      viewer {
        id
        notificationPreferences {
          enabled
          pauseUntil
        }
      }
      userErrors {
        message
      }
    }
  }
`);

const DAY = 24 * 60 * 60 * 1000;
const PAUSES = [
  { label: 'One day', days: 1 },
  { label: 'One week', days: 7 },
  { label: 'Four weeks', days: 28 },
] as const;

/** Whether to be told at all, and a pause. Each choice is saved as it is made. */
export function Preferences({ preferences }: { preferences: Viewer['notificationPreferences'] }) {
  const [state, execute] = useMutation(UpdatePreferences);
  const [said, setSaid] = useState('');
  const { enabled, pauseUntil } = preferences;
  const paused = pauseUntil !== null && new Date(pauseUntil).getTime() > Date.now();

  const save = async (input: { enabled?: boolean; pauseUntil?: string | null }) => {
    setSaid('');
    const result = await execute({ input });
    const refusal = result.data?.updateNotificationPreferences.userErrors[0];
    if (result.error) {
      const failure = describeFailure(result.error);
      setSaid(`Not saved. ${failure.title}. ${failure.advice}`);
    } else setSaid(refusal ? `Not saved. ${refusal.message}` : 'Saved.');
  };

  return (
    <section aria-labelledby="preferences">
      <h2 id="preferences">Preferences</h2>
      <label className="check">
        <input
          type="checkbox"
          checked={enabled}
          disabled={state.fetching}
          onChange={(event) => void save({ enabled: event.target.checked })}
        />
        <span>Notify me</span>
      </label>
      {enabled && paused ? (
        <p>
          Paused until <time dateTime={pauseUntil}>{formatMoment(pauseUntil)}</time>.{' '}
          <button
            type="button"
            className="button"
            disabled={state.fetching}
            onClick={() => void save({ pauseUntil: null })}
          >
            End the pause
          </button>
        </p>
      ) : null}
      {enabled && !paused ? (
        <fieldset className="pauses">
          <legend>Pause for</legend>
          <span className="row">
            {PAUSES.map(({ label, days }) => (
              <button
                key={days}
                type="button"
                className="button"
                disabled={state.fetching}
                onClick={() => void save({ pauseUntil: new Date(Date.now() + days * DAY).toISOString() })}
              >
                {label}
              </button>
            ))}
          </span>
          <PauseDate disabled={state.fetching} onChoose={(moment) => void save({ pauseUntil: moment })} />
        </fieldset>
      ) : null}
      <p className="fine" role="status">
        {said}
      </p>
    </section>
  );
}

function PauseDate({ disabled, onChoose }: { disabled: boolean; onChoose: (moment: string) => void }) {
  const [day, setDay] = useState('');
  const moment = day ? new Date(`${day}T00:00`) : null;
  const ahead = moment !== null && moment.getTime() > Date.now();
  return (
    <span className="row">
      <label className="field">
        <span>or until</span>
        <input type="date" value={day} onChange={(event) => setDay(event.target.value)} />
      </label>
      <button
        type="button"
        className="button"
        disabled={disabled || !ahead}
        onClick={() => {
          if (moment && ahead) onChoose(moment.toISOString());
        }}
      >
        Pause
      </button>
    </span>
  );
}
