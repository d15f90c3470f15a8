//! Asks the linker to keep one of each set of equal functions: generic code is full of them. Only where Rust brings a
//! linker that can (lld on this target), and not for debug builds, whose stacks should name what was called.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    #[expect(clippy::disallowed_methods, reason = "how Cargo speaks to build scripts")]
    let of = |name: &str| std::env::var(name).unwrap_or_default();
    if of("PROFILE") == "release" && of("TARGET") == "x86_64-unknown-linux-gnu" {
        println!("cargo:rustc-link-arg-bins=-Wl,--icf=all");
    }
}
