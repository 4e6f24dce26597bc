//! Postgres, and what can be made to go wrong with it.

use sqlx::{Executor as _, PgPool, postgres::PgPoolOptions};
use stack::Postgres;

/// Batches from one that Postgres refuses for certain, and from one of which it does not say what became, to the next.
const TROUBLE_SQL: &str = "
    CREATE SEQUENCE proof_batches;
    CREATE TABLE proof_trouble (on_ boolean NOT NULL);
    INSERT INTO proof_trouble VALUES (false);
    CREATE FUNCTION proof_trouble() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE batch bigint := nextval('proof_batches');
    BEGIN
        IF NOT (SELECT on_ FROM proof_trouble) THEN RETURN NULL; END IF;
        IF batch % 41 = 0 THEN RAISE EXCEPTION 'refused on purpose' USING ERRCODE = '40001'; END IF;
        IF batch % 97 = 0 THEN RAISE EXCEPTION 'who knows' USING ERRCODE = '57014'; END IF;
        RETURN NULL;
    END $$;
    CREATE TRIGGER proof_trouble BEFORE INSERT ON events FOR EACH STATEMENT EXECUTE FUNCTION proof_trouble();";

pub struct Database {
    postgres: Postgres,
    /// The test's own connections; they are spared.
    pub pool: PgPool,
}

impl Database {
    pub async fn start() -> Self {
        let postgres = Postgres::temp_with(|options| options.setting("max_connections", "200")).await.unwrap();
        let options: sqlx::postgres::PgConnectOptions = postgres.url().parse().unwrap();
        let pool =
            PgPoolOptions::new().max_connections(4).connect_with(options.application_name("proof")).await.unwrap();
        Self { postgres, pool }
    }

    pub fn url(&self) -> String {
        self.postgres.url()
    }

    /// Makes the trouble possible; the journal's tables must be there.
    pub async fn prepare(&self) {
        self.pool.acquire().await.unwrap().execute(TROUBLE_SQL).await.unwrap();
    }

    /// Lets batches of the journal fail now and then, or not any more.
    pub async fn trouble(&self, on: bool) {
        sqlx::query("UPDATE proof_trouble SET on_ = $1").bind(on).execute(&self.pool).await.unwrap();
    }

    /// Ends sessions: the writers' in the middle of an append, or everybody's, leases and readers included.
    pub async fn terminate(&self, only_writers: bool) {
        sqlx::query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND application_name <> 'proof'
               AND (NOT $1 OR query LIKE '%journal_head%')",
        )
        .bind(only_writers)
        .execute(&self.pool)
        .await
        .unwrap();
    }

    pub async fn head(&self) -> u64 {
        journal::last_position(&self.pool).await.unwrap().0
    }
}
