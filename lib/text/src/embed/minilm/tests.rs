use std::sync::LazyLock;

use super::*;

static MODEL: LazyLock<MiniLm> = LazyLock::new(|| MiniLm::load().expect("the model in the repository"));

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The cosines are those of the published f32 weights; what 8 bits may cost is the tolerance.
#[test]
fn sentences_are_as_near_as_the_published_model_puts_them() {
    let texts = [
        "That is a happy person",
        "That is a happy dog",
        "That is a very happy person",
        "Today is a sunny day",
    ];
    let vectors = MODEL.embed(&texts).unwrap();
    for (vector, expected) in vectors[1..].iter().zip([0.6946, 0.9429, 0.2569]) {
        let found = cosine(&vectors[0], vector);
        assert!((found - expected).abs() < 0.015, "{found} instead of {expected}");
    }
    for vector in &vectors {
        assert_eq!(vector.len(), DIMENSIONS);
        assert!((cosine(vector, vector) - 1.0).abs() < 1e-5);
    }
}

#[test]
fn a_vector_does_not_depend_on_the_batch() {
    let long = "The council adopted the ordinance as amended. ".repeat(12);
    let texts: Vec<String> =
        (0..40).map(|n| format!("Item {n}. {}", &long[..(n * 13) % long.len()])).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let together = MODEL.embed(&texts).unwrap();
    for (text, in_batch) in texts.iter().zip(&together) {
        let alone = &MODEL.embed(&[text]).unwrap()[0];
        let apart = alone.iter().zip(in_batch).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(apart < 1e-4, "{apart} apart: {text}");
    }
    assert_eq!(together, MODEL.embed(&texts).unwrap());
}

#[test]
fn words_past_the_limit_do_not_count_and_no_text_is_too_odd() {
    let long = "word ".repeat(MAX_TOKENS - 2);
    let longer = format!("{long}entirely different things about sewers");
    let texts = [long.as_str(), &longer, "", "\0\u{202e}🏛️", "市議会は条例を採択した"];
    let vectors = MODEL.embed(&texts).unwrap();
    assert!(cosine(&vectors[0], &vectors[1]) > 0.9999);
    assert!(vectors.iter().flatten().all(|v| v.is_finite()));
    assert!(MODEL.embed(&[]).unwrap().is_empty());
}

/// Processors without exact integer products take the other way; their vectors go into the same indexes.
#[test]
fn integers_and_floats_agree() {
    let text = MODEL.0.tokenizer.encode("The council adopted Ord. No. 29,650 by six yeas.", true).unwrap();
    let [integers, floats] = [Precision::Integers, Precision::Floats].map(|precision| {
        let encoder = Encoder::read(WEIGHTS, precision).unwrap();
        encoder.encode(&[text.get_ids()], &mut Workspace::default()).unwrap().remove(0)
    });
    let agreement = cosine(&integers, &floats);
    assert!((0.98..0.99999).contains(&agreement), "{agreement}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_does_not_wait_for_batches() {
    let model: Arc<dyn Embedder> = Arc::new(MODEL.clone());
    let batch: Vec<String> =
        (0..64).map(|n| format!("Passage {n} about the repaving of streets. ").repeat(12)).collect();
    let batches: Vec<_> = (0..2)
        .map(|_| {
            let (model, batch) = (model.clone(), batch.clone());
            tokio::spawn(async move { model.embed(batch).await })
        })
        .collect();
    tokio::task::yield_now().await;
    let query = model.embed(vec!["who repaves streets".to_owned()]).await.unwrap();
    assert!(batches.iter().all(|b| !b.is_finished()), "the query came after a batch");
    assert_eq!(query[0].len(), model.dimensions());
    for batch in batches {
        assert_eq!(batch.await.unwrap().unwrap().len(), 64);
    }
    assert_eq!(model.version(), MODEL_VERSION);
}
