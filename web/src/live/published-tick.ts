import { createContext, useContext } from 'react';

/** Counts the publications seen since the page was opened; lists ask again when it moves. */
export const PublishedTick = createContext(0);

export function usePublishedTick(): number {
  return useContext(PublishedTick);
}
