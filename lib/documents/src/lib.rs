//! Reads what cities publish.
//!
//! **Owns** the way from the bytes of a document to its text version (words in reading order, sections, page and time
//! marks), the bounds within which a stranger's document may be read, and the layout of a folder of documents.
//!
//! **Must never** reach for a database, the network, a clock or configuration; let a document's fault (a panic, a bomb, an
//! endless loop) take more than that document; change the rules of a text version without a new [`EXTRACTOR_VERSION`]:
//! evidence points into text versions by offset.
//!
//! **Start** at [`extract`] for one document, then `line.rs` (what every format is reduced to) and `build.rs` (how lines become
//! a text). `cargo run -p cs-documents --example dump -- FILE` shows what is read.

mod build;
mod captions;
mod decode;
mod detect;
mod docx;
mod error;
mod extract;
pub mod folder;
mod furniture;
mod heading;
mod html;
mod isolate;
pub mod limits;
mod line;
mod pdf;
mod plain;
mod reader;
mod rtf;

pub use error::ExtractError;
pub use extract::{EXTRACTOR_VERSION, Extracted, extract};
pub use isolate::{CHILD_COMMAND, Limits, extract_isolated, run_child};
pub use reader::Reader;
