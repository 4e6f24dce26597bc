//! The product's adapter to the simulator, on a wire that loses, repeats and delays.

use std::sync::atomic::{AtomicBool, Ordering};

use aggregates::PaymentId;
use futures::{FutureExt, future::BoxFuture};
use parking_lot::Mutex;
use payments::{
    Cancel, Confirm, Doubt, Provider, ProviderError, ProviderPayment, ProviderResult, TossProvider,
    simulator::{self, Counts, Simulator},
};
use proof::{Dice, Tally};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::adapter;

/// How many times in a thousand something befalls a call.
const ODDS: u64 = 350;
/// How many times in a thousand something that is on its way arrives, for each call that is made.
const ARRIVES: u64 = 20;

pub struct Faulty {
    /// Past all faults.
    pub toss: TossProvider,
    simulator: Simulator,
    serving: Mutex<Option<JoinHandle<std::io::Result<()>>>>,
    stop: CancellationToken,
    dice: Mutex<Dice>,
    good: AtomicBool,
    /// Calls that nobody waits for any more.
    late: Mutex<Vec<Call>>,
    tally: Mutex<Tally>,
}

/// A call that can move money.
#[derive(Clone)]
enum Call {
    Confirm(Confirm),
    Cancel(Cancel),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Arrives,
    IsRefused,
    Fails,
    LosesAnswer,
    ComesLate,
    Repeats,
}

impl Fate {
    /// The most treacherous comes most often.
    const BAD: [Self; 7] = [
        Self::IsRefused,
        Self::Fails,
        Self::LosesAnswer,
        Self::Repeats,
        Self::ComesLate,
        Self::ComesLate,
        Self::ComesLate,
    ];
}

impl Faulty {
    pub async fn start(seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let toss = adapter(listener.local_addr().unwrap());
        let (simulator, stop) = (Simulator::new(), CancellationToken::new());
        let serving = tokio::spawn(simulator::serve(listener, simulator.clone(), stop.clone()));
        Self {
            toss,
            simulator,
            serving: Mutex::new(Some(serving)),
            stop,
            dice: Mutex::new(Dice::new(seed)),
            good: AtomicBool::new(false),
            late: Mutex::default(),
            tally: Mutex::default(),
        }
    }

    /// Every call arrives from now on, and is answered.
    pub fn be_good(&self) {
        self.good.store(true, Ordering::Relaxed);
    }

    pub async fn deliver_the_rest(&self) {
        let late = std::mem::take(&mut *self.late.lock());
        for call in late {
            let _unheard = self.make(call).await;
        }
    }

    pub async fn stop(&self) {
        self.stop.cancel();
        let serving = self.serving.lock().take();
        serving.unwrap().await.unwrap().unwrap();
    }

    /// What befell calls, counted.
    pub fn told(&self) -> Tally {
        self.tally.lock().clone()
    }

    pub fn counts(&self) -> Counts {
        self.simulator.counts()
    }

    async fn make(&self, call: Call) -> ProviderResult<ProviderPayment> {
        match call {
            Call::Confirm(confirm) => self.toss.confirm(confirm).await,
            Call::Cancel(cancel) => self.toss.cancel(cancel).await,
        }
    }

    /// What befalls a call. Some of what is on its way arrives first.
    async fn fate(&self, call: &str) -> Fate {
        if self.good.load(Ordering::Relaxed) {
            return Fate::Arrives;
        }
        let (fate, arrives) = {
            let (mut dice, mut late) = (self.dice.lock(), self.late.lock());
            let some = !late.is_empty() && dice.falls(ARRIVES);
            let place = dice.place(late.len());
            let arrives = some.then(|| late.swap_remove(place));
            (if dice.falls(ODDS) { dice.one_of(Fate::BAD) } else { Fate::Arrives }, arrives)
        };
        if let Some(arrives) = arrives {
            let _unheard = self.make(arrives).await;
        }
        self.tally.lock().met(format!("{call} {fate:?}"));
        fate
    }

    async fn call(&self, name: &str, call: Call) -> ProviderResult<ProviderPayment> {
        match self.fate(name).await {
            Fate::Arrives => self.make(call).await,
            Fate::IsRefused => Err(ProviderError::Busy),
            Fate::Fails => Err(Doubt::Fault { status: 500, code: String::new(), message: String::new() }.into()),
            Fate::LosesAnswer => {
                let _lost = self.make(call).await;
                Err(Doubt::Lost("on purpose".into()).into())
            }
            Fate::ComesLate => {
                self.late.lock().push(call);
                Err(Doubt::Timeout.into())
            }
            Fate::Repeats => {
                let _first = self.make(call.clone()).await;
                self.make(call).await
            }
        }
    }
}

impl Provider for Faulty {
    fn confirm(&self, confirm: Confirm) -> BoxFuture<'_, ProviderResult<ProviderPayment>> {
        self.call("confirm", Call::Confirm(confirm)).boxed()
    }

    fn cancel(&self, cancel: Cancel) -> BoxFuture<'_, ProviderResult<ProviderPayment>> {
        self.call("cancel", Call::Cancel(cancel)).boxed()
    }

    fn lookup_order(&self, order_id: PaymentId) -> BoxFuture<'_, ProviderResult<Option<ProviderPayment>>> {
        async move {
            match self.fate("look up").await {
                Fate::Arrives | Fate::Repeats => self.toss.lookup_order(order_id).await,
                Fate::IsRefused => Err(ProviderError::Busy),
                Fate::Fails | Fate::LosesAnswer | Fate::ComesLate => Err(Doubt::Timeout.into()),
            }
        }
        .boxed()
    }

    fn lookup_key<'a>(&'a self, payment_key: &'a str) -> BoxFuture<'a, ProviderResult<Option<ProviderPayment>>> {
        self.toss.lookup_key(payment_key)
    }
}
