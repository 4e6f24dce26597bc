//! Records by id, in bounded memory: those not looked at for long are put aside in a temporary file, and come back when
//! they are asked for.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use rusqlite::{Connection, OptionalExtension as _, params};
use serde::{Serialize, de::DeserializeOwned};
use uuid::Uuid;

use crate::Error;

/// Memory of the temporary file's pages, KiB.
const SPILL_CACHE_KIB: i64 = 16 * 1024;

type Map<R> = HashMap<Uuid, Box<R>, RandomState>;

/// Records in two generations. When the young one is full, the old one is put aside as a whole and the young one becomes
/// the old; whatever is asked for becomes young again. So at most twice `half` are in memory, the last used among them.
pub(crate) struct Shelf<R> {
    young: Map<R>,
    old: Map<R>,
    half: usize,
    aside: Option<Connection>,
}

impl<R: Serialize + DeserializeOwned> Shelf<R> {
    /// An empty one that keeps at most twice `half` records in memory.
    pub fn new(half: usize) -> Self {
        Self { young: Map::default(), old: Map::default(), half: half.max(1), aside: None }
    }

    /// The record of `id`, if there is one.
    pub fn get(&mut self, id: Uuid) -> Result<Option<&mut R>, Error> {
        if !self.young.contains_key(&id) {
            let record = match self.old.remove(&id) {
                Some(record) => Some(record),
                None => self.aside.as_ref().map(|aside| recall(aside, id)).transpose()?.flatten(),
            };
            let Some(record) = record else { return Ok(None) };
            self.make_room()?;
            self.young.insert(id, record);
        }
        Ok(self.young.get_mut(&id).map(AsMut::as_mut))
    }

    /// The record of `id`, made where there is none.
    pub fn get_or(&mut self, id: Uuid, new: impl FnOnce() -> R) -> Result<&mut R, Error> {
        if self.get(id)?.is_none() {
            self.make_room()?;
        }
        Ok(self.young.entry(id).or_insert_with(|| Box::new(new())))
    }

    /// Every record, in no order.
    pub fn for_each(&self, mut each: impl FnMut(Uuid, &R) -> Result<(), Error>) -> Result<(), Error> {
        for (id, record) in self.young.iter().chain(&self.old) {
            each(*id, record)?;
        }
        let Some(aside) = &self.aside else { return Ok(()) };
        let mut statement = aside.prepare("SELECT id, record FROM records")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let id = Uuid::from_bytes(row.get(0)?);
            // What came back is newer in memory.
            if !self.young.contains_key(&id) && !self.old.contains_key(&id) {
                each(id, &serde_json::from_slice(row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?)?)?;
            }
        }
        Ok(())
    }

    fn make_room(&mut self) -> Result<(), Error> {
        if self.young.len() < self.half {
            return Ok(());
        }
        if !self.old.is_empty() {
            let aside = match &mut self.aside {
                Some(aside) => aside,
                none => none.insert(open()?),
            };
            put_aside(aside, &self.old)?;
            self.old.clear();
        }
        std::mem::swap(&mut self.young, &mut self.old);
        Ok(())
    }
}

/// A database without a name is a temporary file, which SQLite deletes by itself; nothing in it need survive anything.
fn open() -> Result<Connection, Error> {
    let connection = Connection::open("")?;
    connection.pragma_update(None, "journal_mode", "OFF")?;
    connection.pragma_update(None, "synchronous", "OFF")?;
    connection.pragma_update(None, "cache_size", -SPILL_CACHE_KIB)?;
    connection.execute_batch("CREATE TABLE records (id BLOB PRIMARY KEY, record BLOB NOT NULL) WITHOUT ROWID")?;
    Ok(connection)
}

fn put_aside<R: Serialize>(aside: &mut Connection, records: &Map<R>) -> Result<(), Error> {
    // In the order of the tree.
    let mut sorted: Vec<_> = records.iter().collect();
    sorted.sort_unstable_by_key(|(id, _)| **id);
    let transaction = aside.transaction()?;
    let mut insert = transaction.prepare_cached("INSERT OR REPLACE INTO records (id, record) VALUES (?1, ?2)")?;
    for (id, record) in sorted {
        insert.execute(params![id.as_bytes(), serde_json::to_vec(record)?])?;
    }
    drop(insert);
    transaction.commit()?;
    Ok(())
}

fn recall<R: DeserializeOwned>(aside: &Connection, id: Uuid) -> Result<Option<Box<R>>, Error> {
    let mut select = aside.prepare_cached("SELECT record FROM records WHERE id = ?1")?;
    let text: Option<Vec<u8>> = select.query_row([id.as_bytes()], |row| row.get(0)).optional()?;
    Ok(text.map(|text| serde_json::from_slice(&text)).transpose()?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_comes_back_as_it_was() {
        let mut shelf = Shelf::new(3);
        let id = |n: u64| Uuid::from_u64_pair(n % 7, n);
        for round in 0..3 {
            for n in 0..50 {
                *shelf.get_or(id(n), || 0_u64).unwrap() += n + round;
                assert!(shelf.young.len() + shelf.old.len() <= 6, "more than twice three in memory");
            }
        }
        assert_eq!(shelf.get(id(50)).unwrap(), None);
        assert_eq!(shelf.get(id(7)).unwrap(), Some(&mut 24));
        let mut all = HashMap::new();
        shelf
            .for_each(|id, value| {
                assert!(all.insert(id, *value).is_none(), "twice");
                Ok(())
            })
            .unwrap();
        assert_eq!(all.len(), 50);
        assert!((0..50).all(|n| all[&id(n)] == 3 * n + 3));
    }
}
