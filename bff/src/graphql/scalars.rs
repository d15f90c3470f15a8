//! `DateTime` and `Date`: as the services write them, checked where clients write them.

use async_graphql::{InputValueError, InputValueResult, Scalar, ScalarType, Value};

/// RFC 3339, in UTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DateTime(pub(crate) String);

/// A local date, `YYYY-MM-DD`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Date(pub(crate) String);

/// An instant, RFC 3339 in UTC.
#[Scalar(name = "DateTime", specified_by_url = "https://datatracker.ietf.org/doc/html/rfc3339")]
impl ScalarType for DateTime {
    fn parse(value: Value) -> InputValueResult<Self> {
        let Value::String(text) = value else { return Err(InputValueError::expected_type(value)) };
        let time = chrono::DateTime::parse_from_rfc3339(&text)
            .map_err(|_| InputValueError::custom("a DateTime is RFC 3339, such as 2024-05-01T18:00:00Z"))?;
        Ok(Self(time.to_utc().to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)))
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.clone())
    }
}

/// A local date, YYYY-MM-DD.
#[Scalar(name = "Date")]
impl ScalarType for Date {
    fn parse(value: Value) -> InputValueResult<Self> {
        let Value::String(text) = value else { return Err(InputValueError::expected_type(value)) };
        match chrono::NaiveDate::parse_from_str(&text, "%Y-%m-%d") {
            Ok(date) => Ok(Self(date.to_string())),
            Err(_) => Err(InputValueError::custom("a Date is YYYY-MM-DD, such as 2024-05-01")),
        }
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.clone())
    }
}

/// An empty text is how messages say that there is no time.
pub(crate) fn time(text: &str) -> Option<DateTime> {
    (!text.is_empty()).then(|| DateTime(text.to_owned()))
}

/// An empty text is how messages say that there is none.
pub(crate) fn text(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}
