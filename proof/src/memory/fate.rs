//! The gates that every step passes, and what befalls it there.

use crate::Dice;

/// Where something can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gate {
    /// A fan's or an organizer's command is written.
    Command,
    /// The cashier writes an intent, an outcome, or that somebody was sent away.
    Till,
    /// The provider is asked for money.
    Confirm,
    /// The provider is asked to pay back.
    Refund,
    /// The provider is asked what it knows.
    LookUp,
    /// The saga's reactions to a batch of events are written, with its checkpoint.
    Saga,
    /// Ended holds are written.
    Deadlines,
    /// Bookings of a concert that was called off are cancelled.
    Cancellations,
    /// What is due for payments is noted.
    Notes,
    /// A webhook is taken.
    Inbox,
    /// The attendant writes what it has found out.
    Outcome,
    /// The attendant writes down what is still to do.
    Table,
}

impl Gate {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Command,
        Self::Till,
        Self::Confirm,
        Self::Refund,
        Self::LookUp,
        Self::Saga,
        Self::Deadlines,
        Self::Cancellations,
        Self::Notes,
        Self::Inbox,
        Self::Outcome,
        Self::Table,
    ];

    /// How much more often than elsewhere something goes wrong here.
    const fn weight(self) -> u64 {
        match self {
            Self::Command | Self::Saga | Self::Notes => 1,
            Self::Deadlines | Self::Cancellations | Self::Table | Self::Inbox => 2,
            Self::Till | Self::Confirm | Self::Refund | Self::LookUp | Self::Outcome => 4,
        }
    }
}

/// What befalls a step at its gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// It fails, has no effect, and whoever took it is told so.
    Fails,
    /// Its process dies before it has its effect.
    CrashesBefore,
    /// Its process dies after it has had its effect.
    CrashesAfter,
    /// It has its effect, and whoever took it is told that nobody knows.
    LosesAnswer,
    /// It has its effect, and comes once more.
    Repeats,
    /// Whoever took it is told that nobody knows; it has its effect later.
    ComesLate,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Fails, Self::CrashesBefore, Self::CrashesAfter, Self::LosesAnswer, Self::Repeats, Self::ComesLate];
}

/// What befalls which step.
#[derive(Clone, Debug)]
pub(super) enum Fates {
    /// Nothing.
    Kind,
    /// This, at the nth gate that is passed; nothing elsewhere.
    Once { at: usize, fault: Fault },
    /// Anything, so many times in a thousand; where money is, more often.
    Odds { thousandths: u64 },
}

impl Fates {
    pub const fn at(&self, gate: Gate, passed: usize, dice: &mut Dice) -> Option<Fault> {
        match *self {
            Self::Kind => None,
            Self::Once { at, fault } => {
                if at == passed {
                    Some(fault)
                } else {
                    None
                }
            }
            Self::Odds { thousandths } => {
                if dice.falls(thousandths * gate.weight()) {
                    // The most treacherous of all.
                    let late = matches!(gate, Gate::Confirm) && dice.falls(300);
                    Some(if late { Fault::ComesLate } else { dice.one_of(Fault::ALL) })
                } else {
                    None
                }
            }
        }
    }
}
