import { graphql } from '../graphql/graphql.ts';

export const MarkRead = graphql(`
  mutation MarkRead($input: MarkNotificationsReadInput!) {
    markNotificationsRead(input: $input) {
      unreadCount
      notifications {
        id
        readAt
      }
      userErrors {
        message
      }
    }
  }
`);
