//! Shows what is read from a document: `dump FILE` its sections and marks, `dump --text FILE` its text.

use std::process::ExitCode;

use cs_core::document::slice_code_points;

fn main() -> ExitCode {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    let text_only = args.iter().position(|a| a == "--text").map(|i| args.remove(i)).is_some();
    let [file] = args.as_slice() else {
        eprintln!("usage: dump [--text] FILE");
        return ExitCode::from(2);
    };
    let bytes = match std::fs::read(file) {
        Ok(bytes) => bytes,
        Err(e) => {
            eprintln!("{file}: {e}");
            return ExitCode::FAILURE;
        }
    };
    let read = match cs_documents::extract(file, &bytes) {
        Ok(read) => read,
        Err(e) => {
            eprintln!("{file}: {}: {e}", e.code());
            return ExitCode::FAILURE;
        }
    };
    if text_only {
        println!("{}", read.text.text);
        return ExitCode::SUCCESS;
    }
    println!("{} pages {:?} code points {}", read.media_type, read.pages, read.text.text.chars().count());
    for s in &read.text.sections {
        let words = slice_code_points(&read.text.text, s.start, s.end).unwrap_or("(outside the text)");
        let head: String = s.heading.as_deref().unwrap_or("-").chars().take(100).collect();
        println!(
            "section {} {}..{} page {:?} time {:?} {} words: {head}",
            s.ordinal,
            s.start,
            s.end,
            s.page,
            s.time_ms,
            words.split_whitespace().count()
        );
    }
    for m in &read.text.marks {
        println!("mark {} page {:?} time {:?}", m.at, m.page, m.time_ms);
    }
    ExitCode::SUCCESS
}
