//! Looking again and again: one screen that is redrawn on a terminal, one line or one block after the other elsewhere.

use std::{
    io::{IsTerminal as _, Result, Write as _},
    time::Duration,
};

use chrono::{DateTime, Utc};
use console::{Term, truncate_str};
use serde::Serialize;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::{
    command::print,
    look::{LookError, Looker},
    report::{Report, Trouble},
    screen::Screen,
};
use crate::up::Signals;

/// How often to look.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// What a script is told where nothing can be seen; its fields are those of [`Report`].
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Unseen {
    /// By our own clock.
    at: DateTime<Utc>,
    ok: bool,
    troubles: [Trouble; 1],
}

/// Shows `first`, and what comes after it, until told to stop.
pub(super) async fn run(mut looker: Looker, first: Report, json: bool) -> Result<()> {
    let mut signals = Signals::new();
    let mut canvas = Canvas::new(json)?;
    let mut ticks = interval_at(Instant::now() + LOOK_INTERVAL, LOOK_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut seen = Ok(first);
    loop {
        canvas.show(&seen)?;
        seen = tokio::select! {
            () = signals.next() => return canvas.leave(),
            seen = async {
                ticks.tick().await;
                looker.look().await
            } => seen,
        };
    }
}

/// Where the looks are shown.
enum Canvas {
    /// A line each.
    Json,
    /// A block each.
    Blocks,
    /// One screen.
    Terminal(Term),
}

impl Canvas {
    fn new(json: bool) -> Result<Self> {
        if json {
            return Ok(Self::Json);
        }
        if !std::io::stdout().is_terminal() {
            return Ok(Self::Blocks);
        }
        let terminal = Term::buffered_stdout();
        terminal.hide_cursor()?;
        terminal.clear_screen()?;
        Ok(Self::Terminal(terminal))
    }

    fn show(&mut self, seen: &std::result::Result<Report, LookError>) -> Result<()> {
        match self {
            Self::Json => print(&document(seen)?),
            Self::Blocks => print(&format!("{}\n", lines(seen).join("\n"))),
            Self::Terminal(terminal) => draw(terminal, &lines(seen)),
        }
    }

    /// Leaves the last look to be read.
    fn leave(self) -> Result<()> {
        match self {
            Self::Json | Self::Blocks => Ok(()),
            Self::Terminal(terminal) => {
                terminal.show_cursor()?;
                terminal.write_line("")?;
                terminal.flush()
            }
        }
    }
}

/// Draws over what was there, so that nothing flickers.
fn draw(terminal: &mut Term, lines: &[String]) -> Result<()> {
    let (rows, columns) = terminal.size();
    terminal.move_cursor_to(0, 0)?;
    // The last row stays free: a line's end there would scroll.
    for line in lines.iter().take(usize::from(rows).saturating_sub(1)) {
        terminal.clear_line()?;
        writeln!(terminal, "{}", truncate_str(line, usize::from(columns), "…"))?;
    }
    terminal.clear_to_end_of_screen()?;
    terminal.flush()
}

fn document(seen: &std::result::Result<Report, LookError>) -> Result<String> {
    let document = match seen {
        Ok(report) => serde_json::to_string(report),
        Err(error) => serde_json::to_string(&unseen(error)),
    };
    Ok(document?)
}

fn unseen(error: &LookError) -> Unseen {
    let remedy = "it is looked again every second".to_owned();
    Unseen { at: Utc::now(), ok: false, troubles: [Trouble { what: error.to_string(), remedy }] }
}

fn lines(seen: &std::result::Result<Report, LookError>) -> Vec<String> {
    let screen = Screen::of_stdout();
    match seen {
        Ok(report) => screen.lines(report),
        Err(error) => screen.unseen(&error.to_string()),
    }
}
