//! The scenarios by name, and what is known of each beforehand.

use clap::ValueEnum;
use serde::Serialize;

/// The scenarios by the names they have in the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Name {
    /// A bare axum route that reads and answers JSON of the same size.
    HttpLimit,
    /// The same events written to the same kind of table by one multi-row insert after the other.
    JournalLimit,
    /// The whole log read by `COPY` and parsed.
    ScanLimit,
    /// What one would write instead: a booking.
    CrudPeer,
    /// What one would write instead: a booking, paid and sold.
    CrudPeerLifecycle,
    /// cqrs-es and postgres-es out of the box: a booking.
    NaiveEsPeer,
    /// A booking, until it is accepted; the backlog is drained and counted.
    Accept,
    /// A booking, until its tickets are held and its payment is requested.
    Book,
    /// A booking until it is approved and its tickets count as sold.
    Lifecycle,
    /// A history of a few bookings, read.
    ReadsHistory,
    /// A concert and its counts, read.
    ReadsConcert,
    /// More buyers than tickets, until each has an answer.
    SellOut,
    /// `book` on a log with a long past.
    Growth,
    /// `book` over many concerts.
    Many,
    /// Ticket counts made anew from the log with a long past.
    RebuildTicketCounts,
    /// Booking histories made anew from it.
    RebuildMypage,
    /// That log audited.
    Verify,
}

/// On which product a scenario runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// One that began empty.
    Fresh,
    /// One with a long past.
    Grown,
}

/// Events of the journal that one thing done is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Events {
    /// It makes or reads none.
    None,
    /// It is one itself.
    One,
    /// As many as the journal has grown by.
    Counted,
}

/// Whose memory is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MemoryOf {
    /// Of the scenario's own server, else of the product.
    Server,
    /// Of Postgres.
    Postgres,
    /// Of a command, which says so itself.
    Command,
}

impl Name {
    /// As in the report.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HttpLimit => "http-limit",
            Self::JournalLimit => "journal-limit",
            Self::ScanLimit => "scan-limit",
            Self::CrudPeer => "crud-peer",
            Self::CrudPeerLifecycle => "crud-peer-lifecycle",
            Self::NaiveEsPeer => "naive-es-peer",
            Self::Accept => "accept",
            Self::Book => "book",
            Self::Lifecycle => "lifecycle",
            Self::ReadsHistory => "reads-history",
            Self::ReadsConcert => "reads-concert",
            Self::SellOut => "sell-out",
            Self::Growth => "growth",
            Self::Many => "many",
            Self::RebuildTicketCounts => "rebuild-ticket-counts",
            Self::RebuildMypage => "rebuild-mypage",
            Self::Verify => "verify",
        }
    }

    /// All of them, in the order in which they take their turns.
    pub const fn all() -> &'static [Self] {
        &[
            Self::HttpLimit,
            Self::ReadsConcert,
            Self::ReadsHistory,
            Self::JournalLimit,
            Self::NaiveEsPeer,
            Self::CrudPeer,
            Self::Book,
            Self::Growth,
            Self::Many,
            Self::Accept,
            Self::CrudPeerLifecycle,
            Self::Lifecycle,
            Self::SellOut,
            Self::ScanLimit,
            Self::RebuildTicketCounts,
            Self::RebuildMypage,
            Self::Verify,
        ]
    }

    /// What `perSecond` counts.
    pub const fn counts(self) -> &'static str {
        match self {
            Self::HttpLimit => "requests",
            Self::JournalLimit | Self::ScanLimit | Self::RebuildTicketCounts | Self::RebuildMypage | Self::Verify => {
                "events"
            }
            Self::CrudPeer | Self::NaiveEsPeer | Self::Accept | Self::Book | Self::Growth | Self::Many => "bookings",
            Self::CrudPeerLifecycle | Self::Lifecycle => "lifecycles",
            Self::ReadsHistory | Self::ReadsConcert => "reads",
            Self::SellOut => "buyers",
        }
    }

    /// Whether it can be done at a fixed rate, for latencies without coordinated omission. A loop of inserts has no
    /// such rate; its latencies are those of one insert. Those of `sell-out` are of everybody at once, which is its point.
    pub const fn has_open_loop(self) -> bool {
        match self {
            Self::JournalLimit
            | Self::ScanLimit
            | Self::SellOut
            | Self::RebuildTicketCounts
            | Self::RebuildMypage
            | Self::Verify => false,
            Self::HttpLimit
            | Self::CrudPeer
            | Self::CrudPeerLifecycle
            | Self::NaiveEsPeer
            | Self::Accept
            | Self::Book
            | Self::Lifecycle
            | Self::ReadsHistory
            | Self::ReadsConcert
            | Self::Growth
            | Self::Many => true,
        }
    }

    /// On which product it runs.
    pub const fn place(self) -> Place {
        match self {
            Self::ScanLimit | Self::Growth | Self::RebuildTicketCounts | Self::RebuildMypage | Self::Verify => {
                Place::Grown
            }
            Self::HttpLimit
            | Self::JournalLimit
            | Self::CrudPeer
            | Self::CrudPeerLifecycle
            | Self::NaiveEsPeer
            | Self::Accept
            | Self::Book
            | Self::Lifecycle
            | Self::ReadsHistory
            | Self::ReadsConcert
            | Self::SellOut
            | Self::Many => Place::Fresh,
        }
    }

    /// Events that one thing done is.
    pub const fn events(self) -> Events {
        match self {
            Self::HttpLimit
            | Self::CrudPeer
            | Self::CrudPeerLifecycle
            | Self::NaiveEsPeer
            | Self::ReadsHistory
            | Self::ReadsConcert => Events::None,
            Self::JournalLimit | Self::ScanLimit | Self::RebuildTicketCounts | Self::RebuildMypage | Self::Verify => {
                Events::One
            }
            Self::Accept | Self::Book | Self::Lifecycle | Self::SellOut | Self::Growth | Self::Many => Events::Counted,
        }
    }

    /// Whose memory is meant.
    pub const fn memory_of(self) -> MemoryOf {
        match self {
            Self::JournalLimit | Self::ScanLimit => MemoryOf::Postgres,
            Self::RebuildTicketCounts | Self::RebuildMypage | Self::Verify => MemoryOf::Command,
            Self::HttpLimit
            | Self::CrudPeer
            | Self::CrudPeerLifecycle
            | Self::NaiveEsPeer
            | Self::Accept
            | Self::Book
            | Self::Lifecycle
            | Self::ReadsHistory
            | Self::ReadsConcert
            | Self::SellOut
            | Self::Growth
            | Self::Many => MemoryOf::Server,
        }
    }
}
