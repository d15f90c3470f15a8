import { graphql, type ResultOf } from '../graphql/graphql.ts';

export const SearchQuery = graphql(`
  query Search($input: SearchInput!) {
    search(input: $input) {
      totalCount
      degraded
      notes
      facets {
        name
        values {
          value
          label
          count
        }
      }
      nodes {
        score
        explanation {
          keywordScore
          keywordRank
          vectorScore
          vectorRank
          fusedScore
          matchedTerms
        }
        meeting {
          id
          title
          date
          city {
            id
            name
          }
          body {
            id
            name
          }
        }
        passage {
          id
          text
          heading
          page
          timeMs
          kind
          url
          highlights {
            start
            end
          }
          artifact {
            id
            kind
            title
            url
          }
        }
      }
      pageInfo {
        hasNextPage
        hasPreviousPage
        startCursor
        endCursor
      }
    }
  }
`);

export type SearchAnswer = ResultOf<typeof SearchQuery>['search'];
export type SearchHit = SearchAnswer['nodes'][number];
export type Facet = SearchAnswer['facets'][number];
