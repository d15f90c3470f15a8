//! OpenSearch as it comes: its own analyser, its hybrid query with min-max normalisation, one shard, highlights.

use futures::stream::{self, StreamExt, TryStreamExt};
use reqwest_of_opensearch::{Client, Method};
use serde_json::{Value, json};

use crate::passages::{DIMS, PER_MEETING, meeting};
use crate::{Failure, Times, queries};

const INDEX: &str = "bench-native";
const PIPELINE: &str = "bench-native";
/// Bulk requests under way at once.
const AT_ONCE: usize = 2;

fn client() -> Client {
    // The client wants one, though nothing here is encrypted.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::new()
}

async fn send(client: &Client, method: Method, url: &str, body: String) -> Result<Value, Failure> {
    let request = client.request(method, url).header("content-type", "application/json").body(body);
    let answer = request.send().await?;
    let (status, bytes) = (answer.status(), answer.bytes().await?);
    if !status.is_success() {
        return Err(format!("{url}: {status}: {}", String::from_utf8_lossy(&bytes)).into());
    }
    Ok(serde_json::from_slice(&bytes)?)
}

/// Makes the index and the pipeline, and fills the index.
pub(crate) async fn fill(url: &str, passages: u32) -> Result<(), Failure> {
    let client = client();
    let url = url.trim_end_matches('/');
    let pipeline = json!({ "phase_results_processors": [{ "normalization-processor": {
        "normalization": { "technique": "min_max" }, "combination": { "technique": "arithmetic_mean" },
    } }] });
    send(&client, Method::PUT, &format!("{url}/_search/pipeline/{PIPELINE}"), pipeline.to_string()).await?;
    let layout = json!({
        "settings": { "index": { "knn": true, "number_of_shards": 1, "number_of_replicas": 0, "refresh_interval": "-1" } },
        "mappings": { "properties": {
            "text": { "type": "text" },
            "city": { "type": "keyword" },
            "vector": { "type": "knn_vector", "dimension": DIMS,
                "method": { "name": "hnsw", "engine": "lucene", "space_type": "cosinesimil" } },
        } },
    });
    send(&client, Method::PUT, &format!("{url}/{INDEX}"), layout.to_string()).await?;
    stream::iter(0..passages.div_ceil(PER_MEETING))
        .map(|number| {
            let client = client.clone();
            async move {
                let mut body = String::new();
                for doc in meeting(number, PER_MEETING.min(passages - number * PER_MEETING)) {
                    body += "{\"index\":{}}\n";
                    let row =
                        json!({ "text": doc.text, "city": doc.city_id.to_string(), "vector": doc.vector });
                    body += &row.to_string();
                    body.push('\n');
                }
                let answer = send(&client, Method::POST, &format!("{url}/{INDEX}/_bulk"), body).await?;
                if answer["errors"] == true {
                    Err(format!("{}", answer["items"][0]).into())
                } else {
                    Ok::<_, Failure>(())
                }
            }
        })
        .buffer_unordered(AT_ONCE)
        .try_collect::<Vec<_>>()
        .await?;
    send(&client, Method::POST, &format!("{url}/{INDEX}/_refresh"), String::new()).await?;
    Ok(())
}

/// The same queries as the engines get.
pub(crate) async fn measure(url: &str) -> Result<(), Failure> {
    let client = client();
    let url = url.trim_end_matches('/');
    let city = json!({ "term": { "city": uuid::Uuid::from_u128(1).to_string() } });
    for (name, filter) in [("hybrid", None), ("hybrid, one city of five", Some(city))] {
        let mut times = Times::default();
        for (text, vector) in queries() {
            let mut words = json!({ "bool": { "must": [{ "match": { "text": text } }] } });
            let mut near = json!({ "vector": vector, "k": 100 });
            if let Some(filter) = &filter {
                words["bool"]["filter"] = json!([filter]);
                near["filter"] = filter.clone();
            }
            let body = json!({
                "size": 10,
                "_source": { "excludes": ["vector"] },
                "query": { "hybrid": { "queries": [words, { "knn": { "vector": near } }] } },
                "highlight": { "fields": { "text": {} } },
            });
            let address = format!("{url}/{INDEX}/_search?search_pipeline={PIPELINE}");
            times.take(send(&client, Method::POST, &address, body.to_string())).await?;
        }
        times.tell("native", name);
    }
    Ok(())
}
