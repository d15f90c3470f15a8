import type {
  ArtifactKind,
  ArtifactStatus,
  DecisionOutcome,
  MeetingStatus,
  PassageKind,
  RunState,
  SearchMode,
} from '../graphql/graphql.ts';

export const ARTIFACT_KINDS: Record<ArtifactKind, string> = {
  AGENDA: 'Agenda',
  MINUTES: 'Minutes',
  PACKET: 'Packet',
  TRANSCRIPT: 'Transcript',
  ATTACHMENT: 'Attachment',
};

export const ARTIFACT_STATUSES: Record<ArtifactStatus, string> = {
  FETCHED: 'Not read yet',
  EXTRACTED: 'Text read',
  NEEDS_OCR: 'A scan without text',
  UNREADABLE: 'Could not be read',
  WITHDRAWN: 'Withdrawn by the city',
};

export const OUTCOMES: Record<DecisionOutcome, string> = {
  ADOPTED: 'Adopted',
  FAILED: 'Failed',
  DEFERRED: 'Deferred',
  WITHDRAWN: 'Withdrawn',
  REFERRED: 'Referred',
  RECEIVED: 'Received',
};

export const MEETING_STATUSES: Record<MeetingStatus, string> = {
  SCHEDULED: 'Scheduled',
  HELD: 'Held',
  CANCELLED: 'Cancelled',
  POSTPONED: 'Postponed',
};

export const PASSAGE_KINDS: Record<PassageKind, string> = {
  PASSAGE: 'Passage',
  DECISION: 'Decision',
  ACTION: 'Action',
  TOPIC: 'Topic',
  FACT: 'Fact',
};

export const SEARCH_MODES: Record<SearchMode, { label: string; hint: string }> = {
  HYBRID: { label: 'Words and meaning', hint: 'Best for most questions' },
  KEYWORD: { label: 'Exact words', hint: 'Best for names and file numbers' },
  VECTOR: { label: 'Meaning only', hint: 'Finds other wordings' },
};

/** What a search had to do without; a word not listed here is spelled out as it is. */
export const DEGRADATIONS: Readonly<Record<string, string>> = {
  keyword_only: 'Only words were compared; the part that compares meaning is not answering',
  partial: 'The time was up before everything was compared',
  rebuilding: 'The search index is being built anew; not everything is found until then',
};

/** In place of a short summary that is not for whoever reads. */
export const HIDDEN_SUMMARY = 'The short summary quotes a document that is not open to everyone.';

/** What a meeting without a summary is waiting for or stopped at, in the reader's terms. */
export const RUN_STATES: Record<RunState, { label: string; meaning: string }> = {
  REQUESTED: { label: 'Waiting', meaning: 'This meeting is known; none of its documents has been read yet.' },
  INGESTED: { label: 'Documents fetched', meaning: 'The documents are here; their text is being read.' },
  EXTRACTED: { label: 'Text read', meaning: 'The text has been read; a summary is being written from it.' },
  SUMMARIZED: {
    label: 'Being checked',
    meaning: 'A summary is written; every claim is being checked against its source.',
  },
  PUBLISHED: { label: 'Published', meaning: 'A summary is published.' },
  LIMITED_CONFIDENCE: {
    label: 'Limited confidence',
    meaning: 'A summary is published, but fewer of its claims could be verified than we ask for.',
  },
  REJECTED: {
    label: 'Held back',
    meaning:
      'A summary was written and did not pass the evidence checks, so it is not shown. The documents can be read as published.',
  },
  FAILED: {
    label: 'Failed',
    meaning: 'The documents could not be turned into a summary. They can be read as published.',
  },
};

/** The states that end by themselves: the page only has to wait for them. */
export function isUnderWay(state: RunState): boolean {
  return state === 'REQUESTED' || state === 'INGESTED' || state === 'EXTRACTED' || state === 'SUMMARIZED';
}

/** A machine's word (`no_readable_text`) as a reader would write it; sentences pass unchanged. */
export function humanize(word: string): string {
  if (!/^[A-Za-z0-9]+([_.:-][A-Za-z0-9]+)*$/.test(word)) return word;
  const spaced = word.replace(/[_.:-]+/g, ' ').toLowerCase();
  return spaced.charAt(0).toUpperCase() + spaced.slice(1);
}

export function plural(count: number, one: string, many = `${one}s`): string {
  return `${count.toLocaleString('en-US')} ${count === 1 ? one : many}`;
}

export function formatBytes(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  if (bytes < 1_000_000) return `${Math.round(bytes / 1000)} kB`;
  return `${(bytes / 1_000_000).toFixed(1)} MB`;
}

/** A share from 0 to 1 as a percentage that never rounds up to 100: "all" must mean all. */
export function formatShare(share: number): string {
  return `${share >= 1 ? 100 : Math.min(99, Math.round(share * 100))}%`;
}
