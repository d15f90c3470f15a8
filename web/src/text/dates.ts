const LOCALE = 'en-US';

/** A calendar day (`YYYY-MM-DD`) in words. It belongs to no time zone, so it must not be shifted by the reader's. */
export function formatDay(day: string, style: 'long' | 'short' = 'long'): string {
  const [year, month, date] = day.split('-').map(Number);
  if (!year || !month || !date) return day;
  const format = new Intl.DateTimeFormat(LOCALE, {
    ...(style === 'long' ? { weekday: 'long' as const } : {}),
    year: 'numeric',
    month: style === 'long' ? 'long' : 'short',
    day: 'numeric',
    timeZone: 'UTC',
  });
  return format.format(new Date(Date.UTC(year, month - 1, date)));
}

/** A moment as a clock time, in the zone where it matters (a meeting starts at its city's time). */
export function formatClock(moment: string, timeZone?: string): string {
  return new Intl.DateTimeFormat(LOCALE, {
    hour: 'numeric',
    minute: '2-digit',
    timeZoneName: 'short',
    ...knownZone(timeZone),
  }).format(new Date(moment));
}

/** A moment in the reader's own zone, to the minute. */
export function formatMoment(moment: string): string {
  return new Intl.DateTimeFormat(LOCALE, { dateStyle: 'medium', timeStyle: 'short' }).format(new Date(moment));
}

/** Milliseconds into a recording as `h:mm:ss` or `m:ss`. */
export function formatOffset(milliseconds: number): string {
  const seconds = Math.floor(milliseconds / 1000);
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  const tail = String(s).padStart(2, '0');
  return h > 0 ? `${h}:${String(m).padStart(2, '0')}:${tail}` : `${m}:${tail}`;
}

// A zone that this browser does not know must not take the page down: the reader's own zone is shown, and named.
function knownZone(timeZone: string | undefined): { timeZone?: string } {
  if (!timeZone) return {};
  try {
    new Intl.DateTimeFormat(LOCALE, { timeZone });
    return { timeZone };
  } catch {
    return {};
  }
}
