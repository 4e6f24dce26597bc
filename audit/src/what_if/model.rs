//! The replay: requests, and what follows from each, in the order of time.

use std::{cmp::Reverse, collections::BinaryHeap};

use aggregates::concert::Terms;

use super::{
    Outcome, Policy,
    past::{Behaviour, Change, Micros, Past, seconds},
};

/// Microseconds in a second.
const SECOND: Micros = 1_000_000;

/// What happens next; where two come at once, what ends a hold comes first, as it frees tickets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    CallOff(usize),
    Expire(usize),
    Pay(usize),
    Change(usize),
    Request(usize),
}

/// What a request has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Nothing,
    Held,
    Sold,
}

struct Model<'a> {
    past: &'a Past,
    hold: Micros,
    max_per_booking: Option<u32>,
    fixed_capacity: bool,
    canceled: bool,
    states: Vec<State>,
    waiting: BinaryHeap<Reverse<(Micros, Step)>>,
    /// What whoever asked last with success has done.
    example: Behaviour,
    outcome: Outcome,
}

/// How the sale would have gone.
pub(super) fn simulate(past: &Past, terms: &Terms, policy: Policy) -> Outcome {
    let capacity = policy.capacity.unwrap_or(terms.capacity_registered);
    let first = past.requests.iter().find_map(|request| request.behaviour);
    let mut model = Model {
        past,
        hold: Micros::from(policy.hold_seconds.unwrap_or(terms.hold_seconds)) * SECOND,
        max_per_booking: policy.max_per_booking.or(terms.max_per_booking.map(aggregates::Qty::get)),
        fixed_capacity: policy.capacity.is_some(),
        canceled: false,
        states: vec![State::Nothing; past.requests.len()],
        waiting: BinaryHeap::new(),
        example: first.unwrap_or_default(),
        outcome: Outcome { capacity: i64::from(capacity), ..Outcome::default() },
    };
    // Requests and changes are in order already, so only the next of each has to wait with what follows from them.
    model.await_request(0);
    model.await_change(0);
    while let Some(Reverse((at, step))) = model.waiting.pop() {
        if at > past.end {
            break;
        }
        model.step(at, step);
    }
    model.outcome
}

impl Model<'_> {
    fn await_request(&mut self, nth: usize) {
        if let Some(request) = self.past.requests.get(nth) {
            self.waiting.push(Reverse((request.at, Step::Request(nth))));
        }
    }

    fn await_change(&mut self, nth: usize) {
        if let Some((at, _)) = self.past.changes.get(nth) {
            self.waiting.push(Reverse((*at, Step::Change(nth))));
        }
    }

    fn step(&mut self, at: Micros, step: Step) {
        match step {
            Step::Request(nth) => {
                self.request(at, nth);
                self.await_request(nth + 1);
            }
            Step::Change(nth) => {
                self.change(nth);
                self.await_change(nth + 1);
            }
            Step::Pay(nth) if self.states[nth] == State::Held => {
                self.states[nth] = State::Sold;
                let qty = i64::from(self.past.requests[nth].qty);
                self.outcome.held -= qty;
                self.outcome.sold += qty;
                self.outcome.sold_bookings += 1;
                self.outcome.last_sale_after_seconds = self.since_first(at);
            }
            Step::Expire(nth) if self.states[nth] == State::Held => {
                self.free(nth);
                self.outcome.expired += 1;
            }
            Step::CallOff(nth) if self.states[nth] != State::Nothing => {
                self.free(nth);
                self.outcome.called_off += 1;
            }
            // It has ended otherwise meanwhile.
            Step::Pay(_) | Step::Expire(_) | Step::CallOff(_) => {}
        }
    }

    fn request(&mut self, at: Micros, nth: usize) {
        let request = self.past.requests[nth];
        self.outcome.requests += 1;
        let behaviour = request.behaviour.unwrap_or(self.example);
        self.example = behaviour;
        let available = self.outcome.capacity - self.outcome.held - self.outcome.sold;
        if self.canceled {
            self.outcome.refused_otherwise += 1;
        } else if self.max_per_booking.is_some_and(|max| request.qty > max) {
            self.outcome.refused_max_per_booking += 1;
        } else if i64::from(request.qty) > available {
            self.outcome.refused_sold_out += 1;
        } else {
            self.states[nth] = State::Held;
            self.outcome.held += i64::from(request.qty);
            self.waiting.push(Reverse((at + self.hold, Step::Expire(nth))));
            for (after, step) in
                [(behaviour.pays_after, Step::Pay(nth)), (behaviour.calls_off_after, Step::CallOff(nth))]
            {
                if let Some(after) = after {
                    self.waiting.push(Reverse((at + after, step)));
                }
            }
        }
        self.note_sold_out(at);
    }

    fn change(&mut self, nth: usize) {
        match self.past.changes[nth] {
            (_, Change::Capacity(_)) if self.fixed_capacity => {}
            (at, Change::Capacity(capacity)) => {
                // Never below what is held and sold: the organizer would have been refused.
                let least = self.outcome.held + self.outcome.sold;
                if i64::from(capacity) >= least {
                    self.outcome.capacity = i64::from(capacity);
                }
                self.note_sold_out(at);
            }
            (_, Change::Cancel) => {
                self.canceled = true;
                for nth in 0..self.states.len() {
                    if self.states[nth] != State::Nothing {
                        self.free(nth);
                        self.outcome.called_off += 1;
                    }
                }
            }
        }
    }

    fn free(&mut self, nth: usize) {
        let qty = i64::from(self.past.requests[nth].qty);
        match self.states[nth] {
            State::Nothing => {}
            State::Held => self.outcome.held -= qty,
            State::Sold => self.outcome.sold -= qty,
        }
        self.states[nth] = State::Nothing;
    }

    fn note_sold_out(&mut self, at: Micros) {
        if self.outcome.capacity <= self.outcome.held + self.outcome.sold
            && self.outcome.sold_out_after_seconds.is_none()
        {
            self.outcome.sold_out_after_seconds = self.since_first(at);
        }
    }

    fn since_first(&self, at: Micros) -> Option<f64> {
        self.past.requests.first().map(|first| seconds(at - first.at))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use aggregates::{ConcertId, Money, Qty, UserId};
    use uuid::Uuid;

    use super::{super::past::Request, *};

    fn terms(capacity: u32) -> Terms {
        Terms {
            concert_id: ConcertId(Uuid::nil()),
            organizer_id: UserId(Uuid::nil()),
            name: String::new(),
            venue: None,
            starts_at: None,
            capacity_registered: capacity,
            price: Money::krw(1),
            max_per_booking: Some(Qty::new(4).unwrap()),
            hold_seconds: 100,
        }
    }

    fn request(second: Micros, qty: u32, pays_after: Option<Micros>) -> Request {
        let pays_after = pays_after.map(|after| after * SECOND);
        Request { at: second * SECOND, qty, behaviour: Some(Behaviour { pays_after, calls_off_after: None }) }
    }

    fn past(requests: Vec<Request>) -> Past {
        Past { requests, end: 1_000 * SECOND, ..Past::default() }
    }

    #[test]
    fn a_shorter_hold_loses_the_slow_and_serves_the_late() {
        let refused = Request { behaviour: None, ..request(20, 2, None) };
        let past = past(vec![request(0, 2, Some(30)), request(1, 2, None), refused]);
        let as_it_was = simulate(&past, &terms(4), Policy::default());
        assert_eq!((as_it_was.sold, as_it_was.expired, as_it_was.refused_sold_out), (2, 1, 1));
        assert_eq!(as_it_was.sold_out_after_seconds, Some(1.0));
        let shorter = simulate(&past, &terms(4), Policy { hold_seconds: Some(10), ..Policy::default() });
        // The first pays too late; the last does as the second did, and does not pay.
        assert_eq!((shorter.sold, shorter.expired, shorter.refused_sold_out), (0, 3, 0));
    }

    #[test]
    fn more_tickets_and_a_lower_limit_count() {
        let past = past(vec![request(0, 4, Some(1)), request(1, 1, Some(1)), request(2, 1, Some(1))]);
        let more = simulate(&past, &terms(4), Policy { capacity: Some(6), ..Policy::default() });
        assert_eq!((more.sold, more.refused_sold_out, more.sold_out_after_seconds), (6, 0, Some(2.0)));
        let fewer = simulate(&past, &terms(4), Policy { max_per_booking: Some(1), ..Policy::default() });
        assert_eq!((fewer.sold, fewer.refused_max_per_booking, fewer.sold_out_after_seconds), (2, 1, None));
        assert_eq!(fewer.last_sale_after_seconds, Some(3.0));
    }

    #[test]
    fn what_the_organizer_did_comes_when_it_came() {
        let mut past = past(vec![request(0, 1, Some(1)), request(10, 1, Some(1)), request(30, 1, Some(1))]);
        past.changes = vec![(5 * SECOND, Change::Capacity(2)), (20 * SECOND, Change::Cancel)];
        let was = simulate(&past, &terms(1), Policy::default());
        assert_eq!((was.sold_bookings, was.sold, was.called_off, was.refused_otherwise), (2, 0, 2, 1));
        let fixed = simulate(&past, &terms(1), Policy { capacity: Some(1), ..Policy::default() });
        assert_eq!((fixed.sold_bookings, fixed.refused_sold_out), (1, 1));
    }
}
