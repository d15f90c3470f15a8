//! `extraction DIR`: what `councilsense eval extraction DIR --json` prints, without building all the rest.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for dir in std::env::args().skip(1) {
        let report = summaries::eval::eval_extraction(std::path::Path::new(&dir))?;
        println!("{}", serde_json::to_string_pretty(&report)?);
    }
    Ok(())
}
