/** A half-open range counted in Unicode code points, as every offset of the API is. */
export interface CodePointRange {
  readonly start: number;
  readonly end: number;
}

/** A run of text that is either wholly inside or wholly outside the marked ranges. */
export interface Segment {
  readonly text: string;
  readonly marked: boolean;
}

/**
 * Cuts `text` at the given ranges. JavaScript strings count UTF-16 units, so the text is first spread into code
 * points. Ranges may come unordered, overlap or reach past the end; what is empty or inverted marks nothing.
 */
export function segmentByCodePoints(text: string, ranges: readonly CodePointRange[]): Segment[] {
  const points = Array.from(text);
  const merged = mergeRanges(ranges, points.length);
  const segments: Segment[] = [];
  let at = 0;
  for (const { start, end } of merged) {
    if (start > at) segments.push({ text: points.slice(at, start).join(''), marked: false });
    segments.push({ text: points.slice(start, end).join(''), marked: true });
    at = end;
  }
  if (at < points.length) segments.push({ text: points.slice(at).join(''), marked: false });
  return segments;
}

function mergeRanges(ranges: readonly CodePointRange[], length: number): CodePointRange[] {
  const within = ranges
    .map(({ start, end }) => ({ start: Math.max(0, start), end: Math.min(length, end) }))
    .filter(({ start, end }) => start < end)
    .sort((a, b) => a.start - b.start);
  const merged: { start: number; end: number }[] = [];
  for (const range of within) {
    const last = merged[merged.length - 1];
    if (last && range.start <= last.end) last.end = Math.max(last.end, range.end);
    else merged.push({ ...range });
  }
  return merged;
}
