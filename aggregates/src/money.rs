//! Money in integer minor units. No fraction ever exists, so none can be lost.

use serde::{Deserialize, Serialize};

use crate::Qty;

/// ISO 4217 currencies that the provider settles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Currency {
    /// South Korean won; it has no minor unit, so an amount of 1 is 1 won.
    Krw,
    /// US dollar; an amount of 1 is one cent.
    Usd,
    /// Japanese yen; it has no minor unit.
    Jpy,
}

/// An amount in minor units of one currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Money {
    /// Minor units, never negative.
    pub amount: u64,
    /// What the units are of.
    pub currency: Currency,
}

impl Money {
    /// The highest price of one ticket, in minor units: a billion won, far above any ticket, far below overflow even
    /// when multiplied by [`Qty::MAX`].
    pub const PRICE_MAX: u64 = 1_000_000_000;

    /// `amount` won.
    pub const fn krw(amount: u64) -> Self {
        Self { amount, currency: Currency::Krw }
    }

    /// The price of `qty` tickets at this price each. Cannot overflow for prices up to [`Money::PRICE_MAX`]; beyond
    /// it saturates, which no provider would accept.
    pub const fn times(self, qty: Qty) -> Self {
        Self { amount: self.amount.saturating_mul(qty.get() as u64), currency: self.currency }
    }
}
