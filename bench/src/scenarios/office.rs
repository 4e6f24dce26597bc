//! The product's HTTP, as far as setting up and checking need it.

use std::time::Duration;

use hyper::{
    StatusCode,
    header::{HeaderName, HeaderValue},
};
use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::json;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::{
    error::Error,
    load::{Answer, Ask, Connection},
    product::Product,
};

/// Fans who book; their tokens are shared by the connections.
const FANS: usize = 8;
/// Tickets of a concert: more than any run can sell.
const TICKETS: u64 = 10_000_000;
/// Won for one of them.
const PRICE_KRW: u32 = 110_000;
/// Longer than any run: no hold may expire in the middle of it.
const HOLD_SECONDS: u32 = 24 * 3_600;
/// How long what follows from a round may take.
pub(super) const SETTLE_MAX: Duration = Duration::from_mins(3);
/// How often we look.
pub(super) const SETTLE_PAUSE: Duration = Duration::from_millis(10);
/// How often in a row nothing must be left to do and nothing have happened.
const SETTLED_LOOKS: u32 = 20;

/// Somebody at the counter, on a connection of their own.
pub(crate) struct Office {
    connection: Connection,
    organizer: HeaderValue,
    /// Those who book.
    pub fans: Vec<Fan>,
}

/// Somebody who books, signed in.
#[derive(Clone)]
pub(crate) struct Fan {
    pub id: Uuid,
    pub token: HeaderValue,
}

/// What `/readyz` says.
#[derive(Clone, Deserialize, Debug)]
pub(crate) struct Readiness {
    status: String,
    /// The journal's end.
    #[serde(rename = "journalPosition")]
    pub journal: u64,
    /// How far the mirror is.
    #[serde(rename = "relayPosition")]
    pub relay: u64,
    #[serde(rename = "ticketCountsPosition")]
    ticket_counts: u64,
    #[serde(rename = "mypagePosition")]
    mypage: u64,
}

/// How far those that follow the journal are behind it, in events.
#[derive(Clone, Copy, Default, Serialize, Debug)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Lag {
    pub mirror: u64,
    pub ticket_counts: u64,
    pub mypage: u64,
    /// Whether the product called itself able to serve all the same.
    pub ready: bool,
}

impl Readiness {
    /// How far the others are behind the journal.
    pub fn lag(&self) -> Lag {
        let behind = |position: u64| self.journal.saturating_sub(position);
        Lag {
            mirror: behind(self.relay),
            ticket_counts: behind(self.ticket_counts),
            mypage: behind(self.mypage),
            ready: self.status != "unready",
        }
    }
}

impl Lag {
    /// The farthest that anything is behind.
    pub fn most(&self) -> u64 {
        self.mirror.max(self.ticket_counts).max(self.mypage)
    }
}

/// A concert's tickets.
#[derive(Clone, Copy, Deserialize, Debug)]
pub(crate) struct Tickets {
    pub held: u64,
    pub sold: u64,
}

/// A booking's answer, as far as it matters.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Booked {
    pub booking_id: Uuid,
    pub payment_id: Uuid,
    pub payment_status: Option<String>,
}

impl Office {
    /// Signs in as the organizer, and a few fans up and in.
    pub async fn open(product: &Product) -> Result<Self, Error> {
        let mut connection = Connection::open(product.address).await?;
        let (email, password) = (product.setting("ORGANIZER_EMAIL")?, product.setting("ORGANIZER_PASSWORD")?);
        let organizer = sign_in(&mut connection, email, password).await?.token;
        let mut office = Self { connection, organizer, fans: Vec::with_capacity(FANS) };
        for number in 0..FANS {
            let fan = office.fan(&format!("fan-{number}")).await?;
            office.fans.push(fan);
        }
        Ok(office)
    }

    /// Signs somebody up, unless they are, and in.
    pub async fn fan(&mut self, name: &str) -> Result<Fan, Error> {
        let (email, password) = (format!("{name}@bench.example"), "correct horse battery staple");
        let body = json!({ "name": name, "email": email, "password": password });
        let answer = self.connection.send(&Ask::post("/users", &body)).await?;
        if answer.status != StatusCode::CONFLICT {
            let _user: IgnoredAny = answer.expect(201, "signing up")?;
        }
        sign_in(&mut self.connection, &email, password).await
    }

    /// Opens a concert with more tickets than can be sold.
    pub async fn concert(&mut self, name: &str) -> Result<Uuid, Error> {
        self.concert_of(name, TICKETS).await
    }

    /// Opens a concert.
    pub async fn concert_of(&mut self, name: &str, tickets: u64) -> Result<Uuid, Error> {
        #[derive(Deserialize)]
        struct Registered {
            id: Uuid,
        }
        let price = json!({ "amount": PRICE_KRW, "currency": "KRW" });
        let body = json!({ "name": name, "ticketQty": tickets, "price": price, "holdSeconds": HOLD_SECONDS });
        let answer = self.connection.send(&Ask::post("/concerts", &body).by(&self.organizer)).await?;
        Ok(answer.expect::<Registered>(201, "registering a concert")?.id)
    }

    /// A request to book one ticket, as each fan makes it.
    pub fn bookings_of(&self, concert: Uuid) -> Vec<Ask> {
        let ask = Ask::post("/bookings", &json!({ "concertId": concert, "qty": 1 }));
        self.fans.iter().map(|fan| ask.clone().by(&fan.token)).collect()
    }

    /// Sends something.
    pub async fn send(&mut self, ask: &Ask) -> Result<Answer, Error> {
        self.connection.send(ask).await
    }

    /// Where the journal is, and what follows it.
    pub async fn readiness(&mut self) -> Result<Readiness, Error> {
        let answer = self.connection.send(&Ask::get("/readyz")).await?;
        // One that is far behind says 503, and where it stands.
        answer.expect(answer.status.as_u16(), "asking for readiness")
    }

    /// Waits until so many tickets of a concert are sold.
    pub async fn sold(&mut self, concert: Uuid, tickets: u64) -> Result<(), Error> {
        let begin = Instant::now();
        loop {
            let now = self.tickets(concert, 0).await?;
            if now.sold >= tickets {
                return Ok(());
            }
            if begin.elapsed() > SETTLE_MAX {
                let state = format!("{now:?}");
                return Err(Error::Waited { what: "tickets to be sold", max: SETTLE_MAX, state });
            }
            sleep(SETTLE_PAUSE).await;
        }
    }

    /// Waits until relay and projections have caught up with the journal, and nothing is added to it.
    pub async fn settled(&mut self) -> Result<Readiness, Error> {
        let begin = Instant::now();
        let mut before = self.readiness().await?;
        let mut looks = 0;
        loop {
            sleep(SETTLE_PAUSE).await;
            let now = self.readiness().await?;
            // The saga may be busy with a long batch, of which nothing shows until it is there.
            looks = if now.lag().most() == 0 && now.journal == before.journal { looks + 1 } else { 0 };
            if looks >= SETTLED_LOOKS {
                return Ok(now);
            }
            if begin.elapsed() > SETTLE_MAX {
                let state = format!("{now:?}");
                return Err(Error::Waited { what: "relay and projections", max: SETTLE_MAX, state });
            }
            before = now;
        }
    }

    /// A concert's tickets, as of `position` or later.
    pub async fn tickets(&mut self, concert: Uuid, position: u64) -> Result<Tickets, Error> {
        #[derive(Deserialize)]
        struct Concert {
            tickets: Tickets,
        }
        let position = (HeaderName::from_static("boxoffice-min-position"), HeaderValue::from(position));
        let ask = Ask::get(format!("/concerts/{concert}")).with(position.0, position.1);
        Ok(self.connection.send(&ask).await?.expect::<Concert>(200, "reading a concert")?.tickets)
    }
}

async fn sign_in(connection: &mut Connection, email: &str, password: &str) -> Result<Fan, Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Session {
        token: String,
        user_id: Uuid,
    }
    let ask = Ask::post("/sessions", &json!({ "email": email, "password": password }));
    let session: Session = connection.send(&ask).await?.expect(200, "signing in")?;
    let token = HeaderValue::from_str(&format!("Bearer {}", session.token))
        .unwrap_or_else(|error| unreachable!("a token is visible ASCII: {error}"));
    Ok(Fan { id: session.user_id, token })
}
