//! The cashier: takes the steps of [`payments::judge::pay`], one at a time, with whatever else happens in between.

use aggregates::{AttemptId, Payment, PaymentCommand, PaymentId};
use payments::{
    Confirm, Doubt, ProviderError, ProviderPayment, ProviderResult,
    judge::{self, Asking, Over, Step},
};

use super::{
    execute::Executed,
    fate::{Fault, Gate},
    wire::Message,
    world::{Mutation, World},
};
use crate::{Breach, bank::SESSION};

/// A try to pay, under way.
#[derive(Debug)]
pub(super) struct Paying {
    pub payment: PaymentId,
    step: Step,
}

impl World {
    /// Somebody comes to process `p` to pay.
    pub(super) fn begin_to_pay(&mut self, p: usize, payment: PaymentId, attempt: AttemptId, payment_key: String) {
        self.tell(|_| format!("process {p}: {payment:?} is to be paid by {attempt:?} with {payment_key}"));
        self.bank.open_session(&payment_key, self.now);
        self.processes[p].paying.push(Paying { payment, step: judge::pay(attempt, payment_key) });
    }

    /// Takes the next step of a try; returns what it came to, if it is over.
    pub(super) fn pay(&mut self, p: usize, place: usize) -> Result<Option<Over>, Breach> {
        let Paying { payment, step } = self.processes[p].paying.swap_remove(place);
        let step = match step {
            Step::Over(over) => return Ok(Some(over)),
            Step::Read(reading) => {
                let state = self.look::<Payment>(p, payment.0).0;
                Some(reading.read(&state, self.now))
            }
            Step::Write(command, writing) => {
                if let (Mutation::EffectBeforeIntent, PaymentCommand::Attempt { attempt_id, payment_key, .. }) =
                    (self.mutation, &command)
                {
                    self.confirm_early(payment, *attempt_id, payment_key.clone());
                }
                match self.execute::<Payment>(p, Gate::Till, payment.0, command)? {
                    Executed::Done { state, changed } => Some(writing.written(&state, changed, self.now)),
                    Executed::Refused(refusal) => Some(writing.refused(refusal)),
                    Executed::Failed | Executed::Died => None,
                }
            }
            Step::Confirm(confirm, asking) => match self.confirm(p, confirm) {
                Some(answer) => Some(self.judge(answer, asking)?),
                None => None,
            },
            Step::LookUp(asking) => self.look_up(p, payment).map(|found| asking.found(found, self.now)),
        };
        match step {
            Some(Step::Over(over)) => {
                self.tell(|_| format!("process {p}: the try to pay {payment:?} is over: {over:?}"));
                Ok(Some(over))
            }
            Some(step) => {
                self.processes[p].paying.push(Paying { payment, step });
                Ok(None)
            }
            None => Ok(None),
        }
    }

    /// What the product makes of an answer. Partial knowledge must be neither failure nor success.
    fn judge(&self, answer: ProviderResult<ProviderPayment>, asking: Asking) -> Result<Step, Breach> {
        let known = match &answer {
            Ok(_) => true,
            Err(error) => error.is_certain() && !error.is_retryable(),
        };
        let told = format!("{answer:?}");
        match asking.answered(answer, self.now) {
            Step::Write(command @ PaymentCommand::Settle { .. }, _) if !known => {
                Err(Breach::at(self.log.head(), format!("{told} is taken for {command:?}")))
            }
            step => Ok(step),
        }
    }

    fn confirm_early(&mut self, payment: PaymentId, idempotency_key: AttemptId, payment_key: String) {
        let Some(request) = self.log.state::<Payment>(payment.0).request() else { return };
        let confirm = Confirm { payment_key, order_id: payment, amount: request.amount, idempotency_key };
        let _too_early = self.bank.confirm(&confirm, false, self.now);
    }

    /// `None`: the process has died.
    fn confirm(&mut self, p: usize, confirm: Confirm) -> Option<ProviderResult<ProviderPayment>> {
        let fault = self.pass(Gate::Confirm);
        let declines = self.dice.falls(self.declines) || confirm.payment_key.starts_with("decline");
        match fault {
            Some(Fault::Fails) => return Some(Err(self.trouble())),
            Some(Fault::CrashesBefore) => {
                self.crash(p);
                return None;
            }
            Some(Fault::ComesLate) => {
                self.send_call(Message::Confirm(confirm));
                return Some(Err(Doubt::Timeout.into()));
            }
            Some(Fault::Repeats) => self.send_call(Message::Confirm(confirm.clone())),
            Some(Fault::CrashesAfter | Fault::LosesAnswer) | None => {}
        }
        let answer = self.bank.confirm(&confirm, declines, self.now);
        self.tell(|_| format!("the provider is asked for {confirm:?}: {answer:?}"));
        self.answer(p, fault, answer)
    }

    /// The provider's answer on its way back.
    pub(super) fn answer<T>(
        &mut self,
        p: usize,
        fault: Option<Fault>,
        answer: ProviderResult<T>,
    ) -> Option<ProviderResult<T>> {
        match fault {
            Some(Fault::CrashesAfter) => {
                self.crash(p);
                None
            }
            Some(Fault::LosesAnswer) => Some(Err(Doubt::Lost("cut".into()).into())),
            Some(Fault::Fails | Fault::CrashesBefore | Fault::Repeats | Fault::ComesLate) | None => Some(answer),
        }
    }

    /// A call that is still on its way when nobody waits for it any more; it may take as long as the buyer's session.
    pub(super) fn send_call(&mut self, message: Message) {
        let longest = self.dice.one_of([1_000, 20_000, SESSION.num_milliseconds().cast_unsigned()]);
        self.send(longest, message);
    }

    /// Why a call had no effect.
    pub(super) fn trouble(&mut self) -> ProviderError {
        let words = || ("CODE".to_owned(), "words".to_owned());
        match self.dice.below(5) {
            0 => ProviderError::Busy,
            1 => ProviderError::Unreachable("refused".into()),
            2 => {
                let (code, message) = words();
                ProviderError::Unauthorized { code, message }
            }
            _ => {
                let (code, message) = words();
                Doubt::Fault { status: 500, code, message }.into()
            }
        }
    }

    /// What the provider knows; `None`: the process has died.
    pub(super) fn look_up(&mut self, p: usize, payment: PaymentId) -> Option<ProviderResult<Option<ProviderPayment>>> {
        let fault = self.pass(Gate::LookUp);
        match fault {
            Some(Fault::Fails) => return Some(Err(self.trouble())),
            Some(Fault::ComesLate) => return Some(Err(Doubt::Timeout.into())),
            Some(Fault::CrashesBefore) => {
                self.crash(p);
                return None;
            }
            Some(Fault::CrashesAfter | Fault::LosesAnswer | Fault::Repeats) | None => {}
        }
        let found = self.bank.by_order(payment).cloned();
        self.answer(p, fault, Ok(found))
    }
}
