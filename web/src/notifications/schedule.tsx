import { useState } from 'react';
import type { Change, Chosen } from './preferences.tsx';

interface Props {
  preferences: Chosen;
  disabled: boolean;
  onChange: (change: Change) => Promise<void>;
}

const DIGESTS: Record<Chosen['digest'], string> = {
  OFF: 'Each as it comes',
  DAILY: 'Once a day',
  WEEKLY: 'Once a week, on Mondays',
};

/** Quiet hours and digests, by the reader's own clocks. */
export function Schedule({ preferences, disabled, onChange }: Props) {
  const { digest, digestHour, timeZone } = preferences;
  const here = Intl.DateTimeFormat().resolvedOptions().timeZone;
  return (
    <>
      <QuietHours preferences={preferences} disabled={disabled} onChange={onChange} />
      <fieldset className="pauses">
        <legend>How often</legend>
        <label className="field">
          <span>Send</span>
          <select
            value={digest}
            disabled={disabled}
            onChange={(event) =>
              void onChange({ digest: event.target.value as Chosen['digest'], timeZone: zoneFor(preferences) })
            }
          >
            {(Object.keys(DIGESTS) as Chosen['digest'][]).map((each) => (
              <option key={each} value={each}>
                {DIGESTS[each]}
              </option>
            ))}
          </select>
        </label>
        {digest === 'OFF' ? null : (
          <label className="field">
            <span>At</span>
            <select
              value={digestHour}
              disabled={disabled}
              onChange={(event) => void onChange({ digestHour: Number(event.target.value) })}
            >
              {Array.from({ length: 24 }, (_, hour) => (
                <option key={hour} value={hour}>
                  {String(hour).padStart(2, '0')}:00
                </option>
              ))}
            </select>
          </label>
        )}
      </fieldset>
      {preferences.quietHours !== null || digest !== 'OFF' ? (
        <p className="fine">
          Times are those of {timeZone}.{' '}
          {timeZone === here ? null : (
            <button
              type="button"
              className="button-quiet"
              disabled={disabled}
              onClick={() => void onChange({ timeZone: here })}
            >
              Use {here}
            </button>
          )}
        </p>
      ) : null}
    </>
  );
}

function QuietHours({ preferences, disabled, onChange }: Props) {
  const { quietHours } = preferences;
  const [from, setFrom] = useState(quietHours?.from ?? '22:00');
  const [until, setUntil] = useState(quietHours?.until ?? '07:00');
  const unchanged = quietHours?.from === from && quietHours.until === until;
  return (
    <fieldset className="pauses">
      <legend>Quiet hours</legend>
      <p className="fine">What is published meanwhile is told afterwards.</p>
      <span className="row">
        <label className="field">
          <span>From</span>
          <input type="time" value={from} onChange={(event) => setFrom(event.target.value)} />
        </label>
        <label className="field">
          <span>until</span>
          <input type="time" value={until} onChange={(event) => setUntil(event.target.value)} />
        </label>
        <button
          type="button"
          className="button"
          disabled={disabled || unchanged || from === '' || until === '' || from === until}
          onClick={() => void onChange({ quietHours: { from, until }, timeZone: zoneFor(preferences) })}
        >
          {quietHours ? 'Change' : 'Keep quiet'}
        </button>
        {quietHours ? (
          <button
            type="button"
            className="button-quiet"
            disabled={disabled}
            onClick={() => void onChange({ quietHours: null })}
          >
            No quiet hours
          </button>
        ) : null}
      </span>
    </fieldset>
  );
}

/** Who has not chosen a zone means the one they are in. */
function zoneFor({ timeZone, quietHours, digest }: Chosen): string {
  const chosen = quietHours !== null || digest !== 'OFF';
  return chosen ? timeZone : Intl.DateTimeFormat().resolvedOptions().timeZone;
}
