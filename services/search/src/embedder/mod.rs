//! Embedders outside the process: any service that speaks OpenAI's `/embeddings` (LiteLLM, vLLM, Ollama, OpenAI).
//!
//! Such a service costs money and sees the texts, so tenants must be on a list, each has a share a day, and what was
//! used is counted. The built-in model is [`cs_text::embed::MiniLm`].

mod allowance;
mod openai;

pub use allowance::Allowance;
pub use openai::{OpenAi, OpenAiOptions};
