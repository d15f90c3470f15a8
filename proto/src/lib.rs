//! Messages, clients and servers of every gRPC service, and the payloads of events.
//!
//! The code in `generated/` is written by this crate's test from `councilsense/**/*.proto`; never by hand.

#![allow(missing_docs, clippy::all, reason = "generated code")]

/// Every message, for reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("generated/descriptors.bin");

macro_rules! package {
    ($name:ident) => {
        pub mod $name {
            pub mod v1 {
                include!(concat!("generated/councilsense.", stringify!($name), ".v1.rs"));
            }
        }
    };
}

package!(common);
package!(errors);
package!(accounts);
package!(meetings);
package!(summaries);
package!(notifications);
package!(search);
package!(ops);
package!(events);
package!(bff);
