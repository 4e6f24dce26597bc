//! Currencies as the tables hold them: ISO 4217 codes.

use aggregates::Currency;

/// The code.
pub(crate) const fn code(currency: Currency) -> &'static str {
    match currency {
        Currency::Krw => "KRW",
        Currency::Usd => "USD",
        Currency::Jpy => "JPY",
    }
}

/// The currency of a code that [`code`] gave.
pub(crate) fn parse(code: &str) -> Option<Currency> {
    match code {
        "KRW" => Some(Currency::Krw),
        "USD" => Some(Currency::Usd),
        "JPY" => Some(Currency::Jpy),
        _ => None,
    }
}
