//! A product with a long past: a log as the product itself would have written it, copied in, and then followed by the
//! product to its end.
//!
//! Making it through HTTP would take an hour. One booking is made, paid and sold by the product; its events are the pattern
//! of all others, which differ in their ids, positions and sequences only. Whatever is derived from the log (mirror, ticket
//! counts, histories) is made by the product, which is let catch up before anything is measured; only the checkpoints of
//! those who write to the log, the saga and the payments, are set to its end, as they would be.

mod pattern;
mod write;

use std::path::Path;

use uuid::Uuid;

use crate::{
    error::Error,
    product::Product,
    scenarios::{Office, Stage},
};
use pattern::Pattern;

/// Of ten bookings, so many are of the hot concert.
const HOT_OF_TEN: u64 = 7;
/// Concerts that share the other bookings.
const OTHERS: u64 = 100;

/// What it is to become.
pub(crate) struct Plan {
    /// Events, about.
    pub events: u64,
}

/// What it has become.
#[derive(Clone, Copy)]
pub(crate) struct Past {
    /// The concert with most of the bookings.
    pub concert: Uuid,
    /// Tickets sold of it.
    pub sold: u64,
}

/// Concerts and fans to write about.
struct People {
    hot: Uuid,
    others: Vec<Uuid>,
    fans: Vec<Uuid>,
}

/// Makes it in `data`, and starts the product on it.
pub(crate) async fn make(data: &Path, plan: &Plan, connections: usize) -> Result<(Stage, Past), Error> {
    let (people, pattern) = first(data).await?;
    let sold = write::write(data, plan, &people, &pattern).await?;
    // It says that it is ready when it has caught up.
    let product = Product::start(data)?;
    let mut office = Office::open(&product).await?;
    office.settled().await?;
    Ok((Stage { product, office, connections }, Past { concert: people.hot, sold }))
}

/// The first booking, and everybody whom the others are about.
async fn first(data: &Path) -> Result<(People, Pattern), Error> {
    let product = Product::start(data)?;
    let mut office = Office::open(&product).await?;
    let hot = office.concert("hot").await?;
    let mut others = Vec::new();
    for number in 1..=OTHERS {
        others.push(office.concert(&format!("other {number}")).await?);
    }
    let fans = office.fans.iter().map(|fan| fan.id).collect();
    let pattern = Pattern::take(&product, &mut office).await?;
    office.settled().await?;
    product.stop()?;
    Ok((People { hot, others, fans }, pattern))
}
