//! The committed code equals what the `.proto` files give. `COUNCILSENSE_REGENERATE=1 cargo test -p cs-proto` writes it anew.

use std::path::{Path, PathBuf};

use prost::Message;

const EVENTS: &str = ".councilsense.events.v1";

fn proto_files(dir: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> =
        std::fs::read_dir(dir).expect("proto folder").map(|e| e.expect("entry").path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            proto_files(&path, found);
        } else if path.extension().is_some_and(|e| e == "proto") {
            found.push(path);
        }
    }
}

fn generate(out: &Path) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    proto_files(&root.join("councilsense"), &mut files);
    let descriptors = protox::compile(&files, [root]).expect("the protos compile");
    std::fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec()).expect("descriptors");
    tonic_prost_build::configure()
        .out_dir(out)
        // Events are JSON with the protobuf field names; a missing field is its default, so fields can be added.
        .type_attribute(EVENTS, "#[derive(serde::Serialize, serde::Deserialize)]\n#[serde(default)]")
        .compile_fds(descriptors)
        .expect("code");
}

#[test]
fn committed_code_is_what_the_protos_give() {
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/generated");
    #[expect(clippy::disallowed_methods, reason = "a test's own switch")]
    if std::env::var("COUNCILSENSE_REGENERATE").is_ok() {
        generate(&committed);
        return;
    }
    let fresh = Path::new(env!("CARGO_TARGET_TMPDIR")).join("generated");
    std::fs::create_dir_all(&fresh).expect("scratch folder");
    generate(&fresh);
    for entry in std::fs::read_dir(&fresh).expect("scratch folder") {
        let path = entry.expect("entry").path();
        let name = path.file_name().expect("name");
        assert_eq!(
            std::fs::read(&path).expect("fresh"),
            std::fs::read(committed.join(name)).unwrap_or_default(),
            "{name:?} is out of date: COUNCILSENSE_REGENERATE=1 cargo test -p cs-proto"
        );
    }
}
