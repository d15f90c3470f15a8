import { useCallback, useEffect, useRef } from 'react';
import { useQuery, type AnyVariables, type CombinedError, type TypedDocumentNode } from 'urql';
import { usePublishedTick } from '../live/published-tick.ts';

/** What a screen knows of its data: it waits, it failed with nothing to show, or it has something. */
export type Loaded<Data> =
  | { readonly status: 'loading' }
  | { readonly status: 'failed'; readonly error: CombinedError; readonly refresh: () => void }
  | {
      readonly status: 'ready';
      readonly data: Data;
      /** Present when only a part came. */
      readonly error: CombinedError | undefined;
      /** New variables are being asked for; `data` is still what the old ones gave. */
      readonly refreshing: boolean;
      readonly refresh: () => void;
    };

interface Options {
  /** Do not ask yet. */
  readonly pause?: boolean;
  /** Keep showing the last answer while the variables change, so that a list does not blink. */
  readonly keepPrevious?: boolean;
  /** Ask again whenever a meeting is published. */
  readonly live?: boolean;
  /** Types whose change must make this answer stale even while it holds none of them. */
  readonly dependsOn?: readonly string[];
}

/** Runs a query and tells loading, failure and partial answers apart. */
export function useLoaded<Data, Variables extends AnyVariables>(
  query: TypedDocumentNode<Data, Variables>,
  variables: Variables,
  options: Options = {},
): Loaded<Data> {
  const context = useRef({ additionalTypenames: [...(options.dependsOn ?? [])] });
  const [result, execute] = useQuery({
    query,
    variables,
    pause: options.pause ?? false,
    context: context.current,
  } as Parameters<typeof useQuery<Data, Variables>>[0]);
  const refresh = useCallback(() => execute({ requestPolicy: 'network-only' }), [execute]);

  const tick = usePublishedTick();
  const seenTick = useRef(tick);
  useEffect(() => {
    if (seenTick.current === tick) return;
    seenTick.current = tick;
    if (options.live) refresh();
  }, [tick, options.live, refresh]);

  const kept = useRef<Data | null>(null);
  if (result.data) kept.current = result.data;
  if (result.error && !result.data) kept.current = null;

  const data = result.data ?? (options.keepPrevious ? kept.current : null);
  if (data) return { status: 'ready', data, error: result.error, refreshing: result.fetching, refresh };
  if (result.error) return { status: 'failed', error: result.error, refresh };
  return { status: 'loading' };
}
