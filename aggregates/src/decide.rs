//! What an aggregate is here, and the thin adapter that makes one of cqrs-es out of it.

use std::{fmt, str::FromStr};

use cqrs_es::Aggregate;
use serde::{Deserialize, Serialize};

/// The four kinds of aggregate, as written in the journal's `aggregate_type` and in subjects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AggregateType {
    /// A person.
    User,
    /// A concert and its tickets.
    Concert,
    /// A fan's request for tickets.
    Booking,
    /// What a booking costs, and what became of it.
    Payment,
}

impl AggregateType {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::User, Self::Concert, Self::Booking, Self::Payment];

    /// The name in the journal and in subjects.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Concert => "concert",
            Self::Booking => "booking",
            Self::Payment => "payment",
        }
    }
}

impl fmt::Display for AggregateType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for AggregateType {
    type Err = crate::DecodeError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == name)
            .ok_or_else(|| crate::DecodeError::UnknownAggregate(name.to_owned()))
    }
}

/// An aggregate whose decision is a pure, synchronous function; `evolve` is [`Aggregate::apply`].
pub trait Decide:
    Aggregate<Services = (), Command: Clone + Send, Error: Send + Sync + 'static> + Clone + 'static
{
    /// Which of the four it is.
    const KIND: AggregateType;

    /// What follows from `command` in this state: events, none where it has no effect (any more), or a refusal.
    fn decide(&self, command: Self::Command) -> Result<Vec<Self::Event>, Self::Error>;

    /// The event's name without an allocation; [`cqrs_es::DomainEvent::event_type`] is the same text.
    fn event_name(event: &Self::Event) -> &'static str;
}

/// Makes a cqrs-es [`Aggregate`] and a [`Decide`] of a state with inherent `decide` and `evolve`, and a
/// [`cqrs_es::DomainEvent`] of its event enum.
macro_rules! aggregate {
    ($state:ident, $kind:ident, $name:literal, $command:ident, $event:ident { $($variant:ident),+ $(,)? }, $error:ident) => {
        impl cqrs_es::DomainEvent for $event {
            fn event_type(&self) -> String {
                self.name().to_owned()
            }

            fn event_version(&self) -> String {
                $event::VERSION.to_owned()
            }
        }

        impl $event {
            /// The version in which events are written today; older ones pass the [`crate::Upcasters`].
            pub const VERSION: &'static str = "1.0";

            /// The event's name, as in the journal's `event_type`.
            pub const fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant { .. } => stringify!($variant),)+
                }
            }
        }

        impl cqrs_es::Aggregate for $state {
            const TYPE: &'static str = $name;
            type Command = $command;
            type Event = $event;
            type Error = $error;
            type Services = ();

            async fn handle(
                &mut self,
                command: Self::Command,
                (): &Self::Services,
                sink: &cqrs_es::event_sink::EventSink<Self>,
            ) -> Result<(), Self::Error> {
                for event in self.decide(command)? {
                    sink.write(event, self).await;
                }
                Ok(())
            }

            fn apply(&mut self, event: Self::Event) {
                self.evolve(event);
            }
        }

        impl crate::Decide for $state {
            const KIND: crate::AggregateType = crate::AggregateType::$kind;

            fn decide(&self, command: $command) -> Result<Vec<$event>, $error> {
                $state::decide(self, command)
            }

            fn event_name(event: &$event) -> &'static str {
                event.name()
            }
        }
    };
}
pub(crate) use aggregate;
