//! The W3C trace context that crosses gRPC, events and jobs.

/// A position in a trace: `traceparent` of the W3C Trace Context recommendation, version 00.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace {
    trace: u128,
    span: u64,
}

impl Trace {
    /// A new trace. Zero is not allowed by the recommendation, so it is never given.
    pub fn start() -> Self {
        Self { trace: rand::random::<u128>() | 1, span: rand::random::<u64>() | 1 }
    }

    /// The same trace, a new span.
    pub fn child(self) -> Self {
        Self { trace: self.trace, span: rand::random::<u64>() | 1 }
    }

    /// Reads a `traceparent`; `None` where it is not one.
    pub fn parse(header: &str) -> Option<Self> {
        let mut parts = header.trim().split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let lower_hex =
            |s: &str, len| s.len() == len && s.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if !lower_hex(version, 2)
            || version == "ff"
            || !lower_hex(trace, 32)
            || !lower_hex(span, 16)
            || !lower_hex(flags, 2)
        {
            return None;
        }
        let (trace, span) = (u128::from_str_radix(trace, 16).ok()?, u64::from_str_radix(span, 16).ok()?);
        (trace != 0 && span != 0).then_some(Self { trace, span })
    }

    /// 32 hexadecimal digits.
    pub fn trace_id(self) -> String {
        format!("{:032x}", self.trace)
    }
}

impl std::fmt::Display for Trace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "00-{:032x}-{:016x}-01", self.trace, self.span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traceparent_round_trips_and_rubbish_is_refused() {
        let trace = Trace::start();
        assert_eq!(Trace::parse(&trace.to_string()), Some(trace));
        assert_eq!(trace.child().trace_id(), trace.trace_id());
        for bad in [
            "",
            "00-0-0-0",
            "00-00000000000000000000000000000000-0000000000000001-01",
            "ff-0123456789abcdef0123456789abcdef-0123456789abcdef-01",
            "00-0123456789ABCDEF0123456789abcdef-0123456789abcdef-01",
        ] {
            assert_eq!(Trace::parse(bad), None, "{bad}");
        }
    }
}
