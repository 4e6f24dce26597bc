//! How far something is: a bar on a terminal, a line now and then elsewhere. Always on standard error.

use std::{
    io::IsTerminal as _,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::status::figures::{count, duration};

/// How often a line is written where there is no terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(2);
/// How often the bar is drawn, a second.
const DRAWS: u8 = 10;
/// What the bar shows.
const STYLE: &str = "{prefix} {msg:10} {bar:30} {human_pos}/{human_len} {per_sec} {eta}";

/// Progress of one thing.
pub(crate) enum Bar {
    /// Drawn.
    Drawn(ProgressBar),
    /// Written.
    Written {
        /// What it is of.
        name: String,
        began: Instant,
        last: Option<(Instant, String)>,
    },
}

impl Bar {
    /// Of `name`.
    pub fn new(name: &str) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self::Written { name: name.to_owned(), began: Instant::now(), last: None };
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(DRAWS));
        if let Ok(style) = ProgressStyle::with_template(STYLE) {
            bar.set_style(style);
        }
        bar.set_prefix(name.to_owned());
        Self::Drawn(bar)
    }

    /// It is doing `phase`, and is at `position` of `target` events.
    pub fn at(&mut self, phase: &str, position: u64, target: u64) {
        match self {
            Self::Drawn(bar) => {
                bar.set_length(target.max(position));
                bar.set_position(position);
                bar.set_message(phase.to_owned());
            }
            Self::Written { name, began, last } => {
                let is_due = last.as_ref().is_none_or(|(at, said)| at.elapsed() >= LINE_INTERVAL || said != phase);
                if is_due {
                    eprintln!("{name}: {}", line(phase, position, target, began.elapsed()));
                    *last = Some((Instant::now(), phase.to_owned()));
                }
            }
        }
    }

    /// It is over.
    pub fn end(self) {
        match self {
            Self::Drawn(bar) => bar.finish_and_clear(),
            Self::Written { .. } => {}
        }
    }
}

/// With the rate so far, and the time left at that rate.
fn line(phase: &str, position: u64, target: u64, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64();
    let at = format!("{phase}, {} of {} events", count(position), count(target.max(position)));
    #[expect(clippy::cast_precision_loss, reason = "a rate and a time left need no more than 52 bits")]
    let (done, left) = (position as f64, target.saturating_sub(position) as f64);
    if seconds < 1.0 || done < 1.0 || left < 1.0 {
        return at;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a positive rate")]
    let rate = (done / seconds) as u64;
    format!("{at}, {}/s, {} left", count(rate), duration(left * seconds / done))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_the_rate_and_the_time_left_once_they_are_known() {
        assert_eq!(line("loading", 0, 5_000, Duration::ZERO), "loading, 0 of 5,000 events");
        let later = line("loading", 2_000, 6_000, Duration::from_secs(2));
        assert_eq!(later, "loading, 2,000 of 6,000 events, 1,000/s, 4.0 s left");
        assert_eq!(line("switching", 9, 9, Duration::from_secs(5)), "switching, 9 of 9 events");
    }
}
