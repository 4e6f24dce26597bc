//! Amounts as the API writes them: JSON numbers in units of the currency, `110000` won or `12.5` dollars. They are read
//! by their digits, so that no binary fraction comes between.

use aggregates::{Currency, Money};
use serde_json::Number;

/// Names the currency of a confirmation to the simulator, where it is not won. The real service has it from its payment
/// window, of which the simulator knows nothing, and does not look at this header.
pub(crate) const CURRENCY_HEADER: &str = "boxoffice-currency";

/// The currency's ISO 4217 code.
pub(crate) const fn code(currency: Currency) -> &'static str {
    match currency {
        Currency::Krw => "KRW",
        Currency::Usd => "USD",
        Currency::Jpy => "JPY",
    }
}

/// How many decimals the currency has (ISO 4217).
const fn decimals(currency: Currency) -> u32 {
    match currency {
        Currency::Krw | Currency::Jpy => 0,
        Currency::Usd => 2,
    }
}

/// The number that stands for `money`; `None` beyond what a JSON number holds exactly.
pub(crate) fn to_number(money: Money) -> Option<Number> {
    let scale = 10_u64.pow(decimals(money.currency));
    let (whole, fraction) = (money.amount / scale, money.amount % scale);
    if fraction == 0 {
        return Some(whole.into());
    }
    let digits = decimals(money.currency) as usize;
    let number: Number = format!("{whole}.{fraction:0digits$}").parse().ok()?;
    (from_number(&number, money.currency)? == money).then_some(number)
}

/// The money that `number` stands for; `None` if it is negative or finer than the currency.
pub(crate) fn from_number(number: &Number, currency: Currency) -> Option<Money> {
    let text = number.to_string();
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let fraction = fraction.trim_end_matches('0');
    let missing = (decimals(currency) as usize).checked_sub(fraction.len())?;
    let amount = format!("{whole}{fraction}{}", "0".repeat(missing)).parse().ok()?;
    Some(Money { amount, currency })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usd(amount: u64) -> Money {
        Money { amount, currency: Currency::Usd }
    }

    #[test]
    fn amounts_survive_the_way_there_and_back() {
        let monies =
            [Money::krw(0), Money::krw(110_000), Money::krw(u64::MAX), usd(5), usd(1_250), usd(1_999), usd(7_00)];
        for money in monies {
            assert_eq!(from_number(&to_number(money).unwrap(), money.currency), Some(money));
        }
        assert_eq!(to_number(usd(1_250)).unwrap().to_string(), "12.5");
        assert_eq!(to_number(Money::krw(110_000)).unwrap().to_string(), "110000");
    }

    #[test]
    fn what_is_no_amount_is_none() {
        for (text, currency) in
            [("-1", Currency::Krw), ("1.5", Currency::Krw), ("1.005", Currency::Usd), ("1e30", Currency::Usd)]
        {
            assert_eq!(from_number(&text.parse().unwrap(), currency), None, "{text}");
        }
        assert_eq!(from_number(&"5000.0".parse().unwrap(), Currency::Krw), Some(Money::krw(5_000)));
        assert_eq!(to_number(usd(u64::MAX)), None);
    }
}
