//! `http-limit`, `crud-peer`, `crud-peer-lifecycle`, `naive-es-peer`: the same requests to another server, in a process and
//! (where it has one) a database of its own, on the Postgres that the product uses.

use std::sync::Arc;

use futures::{FutureExt as _, future::BoxFuture};
use serde_json::Value;
use sqlx::{Connection as _, Executor as _, PgConnection, PgPool, postgres::PgConnectOptions};
use uuid::Uuid;

use super::{Check, Round, Scenario, Stage, book::Counter, lifecycle::Buying, sample::Sample};
use crate::{
    error::Error,
    load::{Connection, Load, drive},
    peers::{CRUD_TABLES, NAIVE_ES_TABLE, Peer, Process},
    processes::Pid,
    product::Product,
};

/// Bytes by which the answers may differ: fractions of a second are written without trailing zeros.
const NEAR_BYTES: usize = 8;
/// Tickets of the CRUD service's concert, and won for one.
const TICKETS_AND_PRICE: (i32, i64) = (10_000_000, 110_000);

/// A database of its own on the product's server, so that settings, WAL and disk are the same.
pub(super) async fn database(product: &Product, name: &str, tables: &str) -> Result<PgConnectOptions, Error> {
    let url = product.setting("DATABASE_URL")?;
    let mut connection = PgConnection::connect(url).await?;
    connection.execute(format!("CREATE DATABASE {name}").as_str()).await?;
    connection.close().await?;
    let options = url.parse::<PgConnectOptions>()?.database(name);
    let mut connection = PgConnection::connect_with(&options).await?;
    connection.execute(tables).await?;
    connection.close().await?;
    Ok(options)
}

/// The product's `DATABASE_URL`, with another database.
fn url_of(product: &Product, name: &str) -> Result<String, Error> {
    let url = product.setting("DATABASE_URL")?;
    Ok(url.rsplit_once('/').map_or_else(|| url.to_owned(), |(server, _)| format!("{server}/{name}")))
}

/// `http-limit`.
pub(super) struct HttpLimit {
    server: Process,
    asks: Arc<Counter>,
    /// Bytes of an answer's body: the product's, and ours.
    body_bytes: (usize, usize),
}

impl HttpLimit {
    pub async fn prepare(stage: &mut Stage) -> Result<Self, Error> {
        let sample = Sample::take(stage).await?;
        let server = Process::start(Peer::HttpLimit, None, &stage.product).await?;
        let asks = stage.office.bookings_of(Uuid::now_v7());
        let mut connection = Connection::open(server.address()).await?;
        let answer: Value = connection.send(&asks[0]).await?.expect(201, "http-limit")?;
        let body_bytes = (sample.answer.to_string().len(), answer.to_string().len());
        Ok(Self { server, asks: Arc::new(Counter::new(asks)), body_bytes })
    }
}

impl Scenario for HttpLimit {
    fn round<'a>(&'a mut self, stage: &'a mut Stage, load: Load) -> BoxFuture<'a, Result<Round, Error>> {
        async move { Ok(Round::of(drive(self.server.address(), stage.connections, &self.asks, load).await?)) }.boxed()
    }

    fn checks<'a>(&'a self, _: &'a mut Stage) -> BoxFuture<'a, Result<Vec<Check>, Error>> {
        let (product, ours) = self.body_bytes;
        let check = Check {
            what: "http-limit: bytes of an answer's body".to_owned(),
            expected: format!("about {product}"),
            found: ours.to_string(),
            holds: product.abs_diff(ours) <= NEAR_BYTES,
        };
        async move { Ok(vec![check]) }.boxed()
    }

    fn servers(&self) -> Vec<Pid> {
        self.server.pids()
    }
}

/// Rows of the CRUD service, and its concert.
struct Crud {
    server: Process,
    pool: PgPool,
    concert: Uuid,
}

impl Crud {
    async fn prepare(stage: &mut Stage, name: &str) -> Result<Self, Error> {
        let options = database(&stage.product, name, CRUD_TABLES).await?;
        let pool = PgPool::connect_lazy_with(options);
        let server = Process::start(Peer::Crud, Some(&url_of(&stage.product, name)?), &stage.product).await?;
        let concert = Uuid::now_v7();
        let (capacity, price) = TICKETS_AND_PRICE;
        sqlx::query("INSERT INTO concerts (id, capacity, price) VALUES ($1, $2, $3)")
            .bind(concert)
            .bind(capacity)
            .bind(price)
            .execute(&pool)
            .await?;
        Ok(Self { server, pool, concert })
    }

    async fn count(&self, sql: &str) -> Result<u64, Error> {
        let number: i64 = sqlx::query_scalar(sql).fetch_one(&self.pool).await?;
        Ok(number.cast_unsigned())
    }
}

/// `crud-peer`.
pub(super) struct CrudPeer {
    crud: Crud,
    counter: Arc<Counter>,
}

impl CrudPeer {
    pub async fn prepare(stage: &mut Stage) -> Result<Self, Error> {
        let crud = Crud::prepare(stage, "crud_peer").await?;
        let counter = Arc::new(Counter::new(stage.office.bookings_of(crud.concert)));
        Ok(Self { crud, counter })
    }
}

impl Scenario for CrudPeer {
    fn round<'a>(&'a mut self, stage: &'a mut Stage, load: Load) -> BoxFuture<'a, Result<Round, Error>> {
        async move { Ok(Round::of(drive(self.crud.server.address(), stage.connections, &self.counter, load).await?)) }
            .boxed()
    }

    fn checks<'a>(&'a self, _: &'a mut Stage) -> BoxFuture<'a, Result<Vec<Check>, Error>> {
        async move {
            let (booked, unclear) = self.counter.counts();
            let held = self.crud.count("SELECT held::bigint FROM concerts").await?;
            let payments =
                self.crud.count("SELECT count(*) FROM payments JOIN bookings b ON b.id = booking_id").await?;
            Ok(vec![
                Check::acknowledged("crud-peer: tickets held", booked, unclear, held),
                Check::equal("crud-peer: bookings with their payment", held, payments),
            ])
        }
        .boxed()
    }

    fn servers(&self) -> Vec<Pid> {
        self.crud.server.pids()
    }
}

/// `crud-peer-lifecycle`.
pub(super) struct CrudPeerLifecycle {
    crud: Crud,
    buying: Arc<Buying>,
}

impl CrudPeerLifecycle {
    pub async fn prepare(stage: &mut Stage) -> Result<Self, Error> {
        let crud = Crud::prepare(stage, "crud_peer_lifecycle").await?;
        let buying = Arc::new(Buying::new(&stage.office, crud.concert));
        Ok(Self { crud, buying })
    }
}

impl Scenario for CrudPeerLifecycle {
    fn round<'a>(&'a mut self, stage: &'a mut Stage, load: Load) -> BoxFuture<'a, Result<Round, Error>> {
        async move { Ok(Round::of(drive(self.crud.server.address(), stage.connections, &self.buying, load).await?)) }
            .boxed()
    }

    fn checks<'a>(&'a self, _: &'a mut Stage) -> BoxFuture<'a, Result<Vec<Check>, Error>> {
        async move {
            let (approved, unclear) = self.buying.counts();
            let sold = self.crud.count("SELECT sold::bigint FROM concerts").await?;
            let paid = "SELECT count(*) FROM bookings b JOIN payments p ON p.booking_id = b.id
                        WHERE b.status = 'BookingApproved' AND p.status = 'PaymentApproved'";
            Ok(vec![
                Check::acknowledged("crud-peer-lifecycle: tickets sold", approved, unclear, sold),
                Check::equal("crud-peer-lifecycle: bookings paid", sold, self.crud.count(paid).await?),
            ])
        }
        .boxed()
    }

    fn servers(&self) -> Vec<Pid> {
        self.crud.server.pids()
    }
}

/// `naive-es-peer`. Each round has a concert of its own: since every command reads all events of its concert, a round would
/// otherwise be slower than the one before.
pub(super) struct NaiveEsPeer {
    server: Process,
    pool: PgPool,
    rounds: Vec<Arc<Counter>>,
}

impl NaiveEsPeer {
    pub async fn prepare(stage: &mut Stage) -> Result<Self, Error> {
        let name = "naive_es_peer";
        let pool = PgPool::connect_lazy_with(database(&stage.product, name, NAIVE_ES_TABLE).await?);
        let server = Process::start(Peer::NaiveEs, Some(&url_of(&stage.product, name)?), &stage.product).await?;
        Ok(Self { server, pool, rounds: Vec::new() })
    }
}

impl Scenario for NaiveEsPeer {
    fn round<'a>(&'a mut self, stage: &'a mut Stage, load: Load) -> BoxFuture<'a, Result<Round, Error>> {
        async move {
            let counter = Arc::new(Counter::new(stage.office.bookings_of(Uuid::now_v7())));
            self.rounds.push(Arc::clone(&counter));
            Ok(Round::of(drive(self.server.address(), stage.connections, &counter, load).await?))
        }
        .boxed()
    }

    fn checks<'a>(&'a self, _: &'a mut Stage) -> BoxFuture<'a, Result<Vec<Check>, Error>> {
        async move {
            let counts = self.rounds.iter().map(|round| round.counts());
            let (booked, unclear) = counts.fold((0, 0), |sum, round| (sum.0 + round.0, sum.1 + round.1));
            let held: i64 = sqlx::query_scalar("SELECT count(*) FROM events WHERE event_type = 'TicketsHeld'")
                .fetch_one(&self.pool)
                .await?;
            Ok(vec![Check::acknowledged("naive-es-peer: tickets held", booked, unclear, held.cast_unsigned())])
        }
        .boxed()
    }

    fn servers(&self) -> Vec<Pid> {
        self.server.pids()
    }
}
