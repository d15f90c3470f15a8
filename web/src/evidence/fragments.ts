import { graphql, type ResultOf } from '../graphql/graphql.ts';

/** Where a claim comes from. The text around it is asked for only when a reader opens it (`ClaimContext`). */
export const EvidenceFields = graphql(`
  fragment EvidenceFields on Evidence {
    excerpt
    page
    timeMs
    start
    end
    url
    artifact {
      id
      kind
      title
      url
    }
  }
`);

export const ClaimFields = graphql(
  `
    fragment ClaimFields on Claim {
      id
      kind
      text
      topicSlugs
      decision {
        outcome
        fileNumber
        title
        mover
        seconder
        votes {
          yeas
          nays
          abstain
          absent
          recused
          yeaCount
          nayCount
        }
      }
      evidence {
        ...EvidenceFields
      }
    }
  `,
  [EvidenceFields],
);

/** The excerpts of one claim with the text around them. */
export const ClaimContext = graphql(`
  query ClaimContext($id: ID!) {
    node(id: $id) {
      __typename
      ... on Claim {
        id
        evidence {
          url
          context(before: 300, after: 300) {
            before
            excerpt
            after
            heading
          }
        }
      }
    }
  }
`);

export type EvidenceItem = ResultOf<typeof EvidenceFields>;
export type ClaimItem = ResultOf<typeof ClaimFields>;
export type EvidenceContext = NonNullable<
  Extract<NonNullable<ResultOf<typeof ClaimContext>['node']>, { __typename: 'Claim' }>['evidence'][number]['context']
>;
