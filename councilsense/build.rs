//! What the linker is asked for, for release builds on x86-64 Linux, where Rust brings a linker that can (lld). Debug builds
//! stay as they are: their stacks should name what was called.

use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    #[expect(clippy::disallowed_methods, reason = "how Cargo speaks to build scripts")]
    let of = |name: &str| std::env::var(name).unwrap_or_default();
    if of("PROFILE") != "release" || of("TARGET") != "x86_64-unknown-linux-gnu" {
        return;
    }
    // One of each set of equal functions: generic code is full of them.
    println!("cargo:rustc-link-arg-bins=-Wl,--icf=all");
    // Relocations in a twentieth of the room, which a start reads whole. The C library knows the form since 2.36.
    if of("HOST") == of("TARGET") && glibc().is_some_and(|version| version >= (2, 36)) {
        println!("cargo:rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// The C library of this machine, where it is GNU's.
fn glibc() -> Option<(u32, u32)> {
    let told = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?;
    let told = String::from_utf8(told.stdout).ok()?;
    let (major, minor) = told.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
