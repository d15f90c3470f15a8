import { useState } from 'react';
import { useMutation } from 'urql';
import { graphql, type VariablesOf } from '../graphql/graphql.ts';
import { describeFailure } from '../text/errors.ts';
import { formatMoment } from '../text/dates.ts';
import type { Viewer } from '../viewer/viewer.tsx';
import { Schedule } from './schedule.tsx';

const UpdatePreferences = graphql(`
  mutation UpdateNotificationPreferences($input: UpdateNotificationPreferencesInput!) {
    updateNotificationPreferences(input: $input) {
      viewer {
        id
        notificationPreferences {
          enabled
          pauseUntil
          channels
          availableChannels
          timeZone
          quietHours {
            from
            until
          }
          digest
          digestHour
          changedSummaries
        }
      }
      userErrors {
        message
      }
    }
  }
`);

export type Change = VariablesOf<typeof UpdatePreferences>['input'];
export type Chosen = Viewer['notificationPreferences'];

const DAY = 24 * 60 * 60 * 1000;
const PAUSES = [
  { label: 'One day', days: 1 },
  { label: 'One week', days: 7 },
  { label: 'Four weeks', days: 28 },
] as const;

/** Whether, how and when to be told. Each choice is saved as it is made. */
export function Preferences({ preferences }: { preferences: Chosen }) {
  const [state, execute] = useMutation(UpdatePreferences);
  const [said, setSaid] = useState('');
  const { enabled, pauseUntil } = preferences;
  const paused = pauseUntil !== null && new Date(pauseUntil).getTime() > Date.now();

  const save = async (input: Change) => {
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
      {enabled ? (
        <>
          <Channels preferences={preferences} disabled={state.fetching} onChange={save} />
          <Schedule preferences={preferences} disabled={state.fetching} onChange={save} />
          <label className="check">
            <input
              type="checkbox"
              checked={preferences.changedSummaries}
              disabled={state.fetching}
              onChange={(event) => void save({ changedSummaries: event.target.checked })}
            />
            <span>Tell me again when a summary changes</span>
          </label>
        </>
      ) : null}
      <p className="fine" role="status">
        {said}
      </p>
    </section>
  );
}

const CHANNELS: Record<Chosen['channels'][number], string> = {
  IN_APP: 'In the inbox here',
  EMAIL: 'By e-mail',
  PUSH: 'In browsers that allow it',
  WEBHOOK: 'To web addresses of yours',
};

interface PartProps {
  preferences: Chosen;
  disabled: boolean;
  onChange: (change: Change) => Promise<void>;
}

/** By what to be told: what this instance cannot send by is left out. */
function Channels({ preferences, disabled, onChange }: PartProps) {
  const { channels, availableChannels } = preferences;
  return (
    <fieldset className="pauses">
      <legend>Tell me</legend>
      {availableChannels.map((channel) => (
        <label key={channel} className="check">
          <input
            type="checkbox"
            checked={channels.includes(channel)}
            disabled={disabled}
            onChange={(event) =>
              void onChange({
                channels: event.target.checked ? [...channels, channel] : channels.filter((other) => other !== channel),
              })
            }
          />
          <span>{CHANNELS[channel]}</span>
        </label>
      ))}
    </fieldset>
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
