//! Identities. Each aggregate has its own type, so that one can never stand where another is meant.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Namespace of every id that is derived (UUIDv5) instead of drawn: the saga and the client come to the same one.
const DERIVED: Uuid = Uuid::from_u128(0x6b6f_7865_6f66_4669_8365_2f69_6473_0001);

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }
    };
}

id!(
    /// A person: fan or organizer.
    UserId
);
id!(
    /// A concert on sale.
    ConcertId
);
id!(
    /// One request of one fan for tickets of one concert.
    BookingId
);
id!(
    /// The one payment of a booking; its id follows from the booking's.
    PaymentId
);
id!(
    /// One try to pay; also the provider's idempotency key, so that a repeated call has one effect.
    AttemptId
);

impl BookingId {
    /// The booking that `user` makes under `idempotency_key`: the same key always names the same booking, so the
    /// journal's primary key makes a repeated request harmless.
    pub fn derived(user: UserId, idempotency_key: &str) -> Self {
        Self(derive("booking", user.0, idempotency_key.as_bytes()))
    }
}

impl PaymentId {
    /// The payment of `booking`. A client can know it before the payment exists.
    pub fn of(booking: BookingId) -> Self {
        Self(derive("payment", booking.0, &[]))
    }
}

impl AttemptId {
    /// The try that a client names by its idempotency key.
    pub fn derived(payment: PaymentId, idempotency_key: &str) -> Self {
        Self(derive("attempt", payment.0, idempotency_key.as_bytes()))
    }

    /// The try that follows this one when it was given up: the client's key still stands for one payment, and for the
    /// provider it is a new call.
    pub fn again(self) -> Self {
        Self(derive("again", self.0, &[]))
    }

    /// The one refund that `payment` can ever have.
    pub fn refund(payment: PaymentId) -> Self {
        Self(derive("refund", payment.0, &[]))
    }
}

fn derive(kind: &str, parent: Uuid, rest: &[u8]) -> Uuid {
    let mut name = Vec::with_capacity(kind.len() + 1 + 16 + rest.len());
    name.extend_from_slice(kind.as_bytes());
    name.push(0);
    name.extend_from_slice(parent.as_bytes());
    name.extend_from_slice(rest);
    Uuid::new_v5(&DERIVED, &name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derived_ids_depend_on_every_part() {
        let (a, b) = (UserId(Uuid::from_u128(1)), UserId(Uuid::from_u128(2)));
        assert_eq!(BookingId::derived(a, "k"), BookingId::derived(a, "k"));
        assert_ne!(BookingId::derived(a, "k"), BookingId::derived(b, "k"));
        assert_ne!(BookingId::derived(a, "k"), BookingId::derived(a, "l"));
        let payment = PaymentId::of(BookingId(Uuid::from_u128(3)));
        assert_ne!(AttemptId::derived(payment, ""), AttemptId::refund(payment));
    }
}
