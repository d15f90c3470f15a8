import { initGraphQLTada } from 'gql.tada';
import type { introspection, introspection_types } from './schema.d.ts';

/** Documents typed from `schema.graphql`; `npm run schema` writes the types. */
export const graphql = initGraphQLTada<{
  introspection: introspection;
  disableMasking: true;
  scalars: { DateTime: string; Date: string };
}>();

export type { ResultOf, VariablesOf } from 'gql.tada';

export type ArtifactKind = introspection_types['ArtifactKind']['enumValues'];
export type ArtifactStatus = introspection_types['ArtifactStatus']['enumValues'];
export type ClaimKind = introspection_types['ClaimKind']['enumValues'];
export type DecisionOutcome = introspection_types['DecisionOutcome']['enumValues'];
export type MeetingStatus = introspection_types['MeetingStatus']['enumValues'];
export type PassageKind = introspection_types['PassageKind']['enumValues'];
export type RunState = introspection_types['RunState']['enumValues'];
export type SearchMode = introspection_types['SearchMode']['enumValues'];
export type Verdict = introspection_types['Verdict']['enumValues'];
