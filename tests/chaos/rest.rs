//! Whether all of it has come to rest.

use councilsense::wiring::QUEUES;

use crate::world::World;

impl World {
    /// What is under way, in words.
    pub(crate) async fn open(&self) -> String {
        let sql = "SELECT string_agg(what || ' ' || n, ', ') FROM (
            SELECT 'outbox' AS what, (SELECT count(*) FROM meetings.outbox WHERE published_at IS NULL)
                 + (SELECT count(*) FROM summaries.outbox WHERE published_at IS NULL)
                 + (SELECT count(*) FROM accounts.outbox WHERE published_at IS NULL) AS n
            UNION ALL SELECT 'messages of ' || queue, count(*) FROM bus.messages WHERE dead_at IS NULL GROUP BY queue
            UNION ALL SELECT 'jobs ' || state || ' ' || type, count(*) FROM (SELECT * FROM meetings.jobs UNION ALL
                SELECT * FROM summaries.jobs UNION ALL SELECT * FROM notifications.jobs) j
                WHERE state IN ('ready', 'running') GROUP BY state, type
            UNION ALL SELECT 'deliveries ' || state, count(*) FROM notifications.deliveries
                WHERE state IN ('pending', 'sending') GROUP BY state
            UNION ALL SELECT channel || ' ' || state, count(*) FROM notifications.messages
                WHERE state IN ('pending', 'sending') GROUP BY channel, state) o WHERE n > 0";
        let open: Option<String> = sqlx::query_scalar(sql).fetch_one(&self.admin).await.unwrap();
        let mut open = open.unwrap_or_default();
        if self.recipe.sns.is_some() {
            for (queue, _) in QUEUES {
                let (waiting, _) = self.hand.bus().count(queue).await.unwrap();
                if waiting > 0 {
                    open += &format!(", messages of {queue} {waiting}");
                }
            }
        }
        open
    }

    /// Twice: what moves from a queue elsewhere into the database between the looks at the two is seen by neither.
    pub(crate) async fn at_rest(&self) -> bool {
        self.open().await.is_empty() && self.open().await.is_empty()
    }

    /// The dead would be waited for until their leases end: up to two minutes. `open` is what is under way.
    pub(crate) async fn end_leases_of_the_dead(&self, open: &str) {
        // What waits for the index has tries for hours, which are over in minutes where its waits are cut short.
        let waiting = if open.contains("messages of search") { "'running'" } else { "'ready', 'running'" };
        let jobs = format!(
            "UPDATE notifications.jobs SET run_at = now() WHERE state IN ({waiting}) AND run_at > now() + interval '5 s'"
        );
        self.run(&jobs).await;
        for schema in ["accounts", "meetings", "summaries", "notifications"] {
            let held = format!(
                "UPDATE {schema}.outbox SET leased_until = now() WHERE leased_until > now() + interval '5 s'"
            );
            self.run(&held).await;
        }
        for sql in [
            "UPDATE bus.messages SET visible_at = now() WHERE dead_at IS NULL AND visible_at > now() + interval '5 s'",
            "UPDATE meetings.jobs SET run_at = now() WHERE state IN ('ready', 'running') AND run_at > now() + interval '5 s'",
            "UPDATE summaries.jobs SET run_at = now() WHERE state IN ('ready', 'running') AND run_at > now() + interval '5 s'",
            "UPDATE notifications.deliveries SET due_at = now() WHERE state IN ('pending', 'sending') AND due_at > now() + interval '5 s'",
            "UPDATE notifications.messages SET due_at = now() WHERE state IN ('pending', 'sending') AND due_at > now() + interval '5 s'",
        ] {
            self.run(sql).await;
        }
    }
}
