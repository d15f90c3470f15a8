//! Shows the meetings found in a folder: `scan FOLDER`.

use std::process::ExitCode;

use cs_documents::Reader;
use cs_documents::folder::{Introductions, scan};

fn main() -> ExitCode {
    let Some(folder) = std::env::args().nth(1) else {
        eprintln!("usage: scan FOLDER");
        return ExitCode::from(2);
    };
    let scan = match scan(folder.as_ref(), &Introductions::new(Reader::InProcess)) {
        Ok(scan) => scan,
        Err(e) => {
            eprintln!("{e}");
            return ExitCode::FAILURE;
        }
    };
    println!("{:?}", scan.city);
    for m in &scan.meetings {
        println!(
            "{} | {} | {} | {:?}{}",
            m.meeting_uid,
            m.title,
            m.body,
            m.date,
            m.error.as_deref().map(|e| format!(" | {e}")).unwrap_or_default()
        );
        for a in &m.artifacts {
            println!(
                "    {:10} {} ({} bytes){}",
                a.kind.as_str(),
                a.file,
                a.size_bytes,
                a.error.as_deref().unwrap_or_default()
            );
        }
        for d in &m.derivation {
            println!("      {d}");
        }
    }
    for (path, reason) in &scan.ignored {
        println!("ignored {}: {reason}", path.display());
    }
    ExitCode::SUCCESS
}
